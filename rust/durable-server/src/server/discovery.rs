//! Applications are asked for their functions: those that were named, and those at the usual places of this machine.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Method;

use crate::config::Config;
use crate::outgoing::Outgoing;

/// So often.
const EVERY: Duration = Duration::from_secs(5);
const AT_MOST: Duration = Duration::from_secs(10);
const TO_PROBE: Duration = Duration::from_millis(500);
/// Where frameworks listen, and where they have their functions.
const PORTS: [u16; 8] = [3000, 3001, 4000, 5000, 5173, 8000, 8080, 8787];
const PATHS: [&str; 3] = ["/api/inngest", "/x/inngest", "/.netlify/functions/inngest"];

/// Asks again and again, for as long as the server lives.
pub(super) async fn look(client: Outgoing, config: Config, own: SocketAddr) {
    let mut urls: BTreeSet<String> = config.urls.iter().cloned().collect();
    loop {
        if config.discovers {
            urls.extend(found(&client, &urls, own).await);
        }
        for url in &urls {
            if let Ok(request) = client.request(Method::PUT, url) {
                // Whoever does not answer is asked again.
                let _asked = request.timeout(AT_MOST).body("{}").send().await.is_ok();
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn found(client: &Outgoing, known: &BTreeSet<String>, own: SocketAddr) -> Vec<String> {
    let mut probes = Vec::new();
    for port in PORTS.into_iter().filter(|port| *port != own.port()) {
        for path in PATHS {
            let url = format!("http://localhost:{port}{path}");
            if !known.contains(&url) {
                probes.push(tokio::spawn(probed(client.clone(), url)));
            }
        }
    }
    let mut urls = Vec::new();
    for probe in probes {
        urls.extend(probe.await.ok().flatten());
    }
    urls
}

/// The address, where an SDK answers there.
async fn probed(client: Outgoing, url: String) -> Option<String> {
    let request = client.request(Method::GET, &url).ok()?;
    let answer = request.timeout(TO_PROBE).send().await.ok()?;
    answer.headers().contains_key("x-inngest-sdk").then_some(url)
}
