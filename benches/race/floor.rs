//! The floor: requests each document once an interval and does nothing with it. The targets are
//! spread over the interval. The documents of a target come one after the other, on one connection
//! that is kept.

use std::time::Duration;

use tokio::time::{interval, sleep};

use crate::{Error, Options, nodes};

pub(crate) async fn run(options: &Options, port: u16) -> Result<(), Error> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .no_proxy()
        .build()?;
    let period = Duration::from_secs(options.interval);
    let mut polling = tokio::task::JoinSet::new();
    for node in 0..options.targets {
        let (client, address) = (client.clone(), nodes::address(node));
        let offset = period * node / options.targets;
        polling.spawn(async move {
            sleep(offset).await;
            let mut ticks = interval(period);
            loop {
                ticks.tick().await;
                for endpoint in 0..3 {
                    let url = format!("http://{address}:{port}/e{endpoint}");
                    if let Ok(answer) = client.get(url).send().await {
                        drop(answer.bytes().await);
                    }
                }
            }
        });
    }
    while polling.join_next().await.is_some() {}
    Ok(())
}
