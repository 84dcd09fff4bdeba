//! Where the doors of `dev` are. Where any port will do, each door takes the one that it had at the last start over the same data: a message
//! that was out when the process was killed then finds whom it was meant for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

use crate::app;

/// The ports of this start and of the last one, by door.
pub(crate) struct Places {
    file: PathBuf,
    last: BTreeMap<String, u16>,
    now: BTreeMap<String, u16>,
}

impl Places {
    /// As they are remembered in a data folder.
    pub(crate) fn of(data: &Path) -> Self {
        let file = data.join("ports.json");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        Self {
            // Not remembered, or not readable: any port will do.
            last: serde_json::from_str(&text).unwrap_or_default(),
            now: BTreeMap::new(),
            file,
        }
    }

    /// Opens a door at this address; at port 0, where it was if that is free.
    pub(crate) async fn listen(&mut self, door: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
        let remembered = match self.last.get(door).filter(|_| address.port() == 0) {
            Some(port) => TcpListener::bind(SocketAddr::new(address.ip(), *port)).await.ok(),
            None => None,
        };
        let listener = match remembered {
            Some(listener) => listener,
            None => app::listen(address).await?,
        };
        self.now.insert(door.to_owned(), listener.local_addr()?.port());
        Ok(listener)
    }

    /// Remembers where the doors are now.
    pub(crate) fn keep(&self) -> anyhow::Result<()> {
        app::write_private(&self.file, &serde_json::to_string(&self.now)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_door_is_where_it_was_unless_somebody_else_is() {
        let folder = std::env::temp_dir().join(format!("florin-places-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut first = Places::of(&folder);
        let was = first.listen("api", any).await.unwrap().local_addr().unwrap();
        first.keep().unwrap();
        let mut second = Places::of(&folder);
        let again = second.listen("api", any).await.unwrap();
        assert_eq!(again.local_addr().unwrap(), was);
        let mut third = Places::of(&folder);
        let elsewhere = third.listen("api", any).await.unwrap();
        assert_ne!(elsewhere.local_addr().unwrap(), was, "it is taken");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
