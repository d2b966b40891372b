//! How the server speaks to those that it calls.

use std::time::Duration;

use reqwest::ClientBuilder;

/// So long a function may take to answer.
const AT_MOST: Duration = Duration::from_hours(2);
const TO_CONNECT: Duration = Duration::from_secs(10);

/// HTTP's own names have capital letters: some of those who are asked look for them so.
pub(crate) fn builder() -> ClientBuilder {
    // Where another has been chosen before, that one is used.
    let _chosen = rustls::crypto::ring::default_provider().install_default().is_ok();
    reqwest::Client::builder()
        .http1_title_case_headers()
        .http1_only()
        .no_proxy()
        .connect_timeout(TO_CONNECT)
        .timeout(AT_MOST)
        .tcp_nodelay(true)
}
