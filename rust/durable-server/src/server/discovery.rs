//! Applications are asked for their functions: those that were named, and those at the usual places of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Method;

use crate::config::Config;
use crate::log::Level;
use crate::outgoing::{Outgoing, in_words, shown};

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
    let mut troubles = BTreeMap::new(); // each is told once
    loop {
        if config.discovers {
            urls.extend(found(&client, &urls, own).await);
        }
        for url in &urls {
            let trouble = asked(&client, url).await.err();
            if config.urls.contains(url) && troubles.get(url) != Some(&trouble) {
                tell(&config, url, trouble.as_deref());
                troubles.insert(url.clone(), trouble);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn tell(config: &Config, url: &str, trouble: Option<&str>) {
    let Some(why) = trouble else { return };
    let names = [("url", shown(url)), ("why", why.to_owned())];
    let what = "an application was asked for its functions and did not say";
    config.log.say(Level::Warning, what, &names);
}

/// Whoever does not answer is asked again; `Err` says in words what came instead.
async fn asked(client: &Outgoing, url: &str) -> Result<(), String> {
    let request = client.request(Method::PUT, url)?.timeout(AT_MOST).body("{}");
    let answer = request.send().await.map_err(in_words)?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
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
