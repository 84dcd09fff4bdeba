//! The shop over a stand-in for Florin, to look at its pages while working on them:
//! `cargo run -p florin-shop --example look`, then open the address that it prints.

#[path = "../tests/stand_in/mod.rs"]
mod stand_in;

use std::time::Duration;

use florin_shop::Config;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let florin = stand_in::start().await;
    let listener = TcpListener::bind("127.0.0.1:4801").await?;
    let public_url = format!("http://{}", listener.local_addr()?);
    eprintln!(
        "shop {public_url}, stand-in {}, payment page {}",
        florin.api, florin.pay
    );
    let data = std::env::temp_dir().join(format!("florin-shop-look-{}", std::process::id()));
    let config = Config {
        api: florin.api.clone(),
        key: stand_in::KEY.into(),
        public_url,
        docs_url: format!("{}/docs", florin.api),
        data: data.clone(),
        checkout_origins: vec![florin.pay.clone()],
    };
    // A file of this name refunds a little of the last order, to see a page grow.
    let lever = data.join("refund");
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if std::fs::remove_file(&lever).is_ok() {
                florin.refund(500);
            }
        }
    });
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    florin_shop::serve(listener, config, stop).await?;
    std::fs::remove_dir_all(data)?;
    Ok(())
}
