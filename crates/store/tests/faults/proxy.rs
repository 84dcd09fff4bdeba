//! A wire to PostgreSQL that can be cut at a chosen moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// When the wire is cut, once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Cut {
    Never = 0,
    /// Before COMMIT reaches the server.
    BeforeCommit = 1,
    /// With COMMIT on its way to the server: what becomes of it is open.
    AtCommit = 2,
    /// After the server has committed and said so, before the client hears it.
    AfterCommit = 3,
    /// As that, but nobody hangs up: the client is left waiting.
    Silence = 4,
}

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    pub(crate) async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            cut: Arc::default(),
        };
        let cut = Arc::clone(&proxy.cut);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let cut = Arc::clone(&cut);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)).await {
                        let _ = carry(client, server, &cut).await;
                    }
                });
            }
        });
        proxy
    }

    /// Arms the next cut.
    pub(crate) fn cut(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    /// Whether the armed cut has happened.
    pub(crate) fn is_spent(&self) -> bool {
        self.cut.load(Ordering::SeqCst) == Cut::Never as u8
    }
}

async fn carry(client: TcpStream, server: TcpStream, cut: &AtomicU8) -> std::io::Result<()> {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let (mut up, mut down) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                let commits = up[..read].windows(7).any(|word| word == b"commit\0");
                let armed = if commits { cut.swap(0, Ordering::SeqCst) } else { 0 };
                if armed == Cut::BeforeCommit as u8 {
                    return Ok(());
                }
                to_server.write_all(&up[..read]).await?;
                if armed == Cut::AtCommit as u8 {
                    // The server may be at it for a while; it is left alone with its answer.
                    drop((from_client, to_client));
                    while from_server.read(&mut down).await? > 0 {}
                    return Ok(());
                }
                if armed == Cut::AfterCommit as u8 || armed == Cut::Silence as u8 {
                    let mut heard = Vec::new();
                    while !heard.windows(7).any(|word| word == b"COMMIT\0") {
                        let read = from_server.read(&mut down).await?;
                        heard.extend_from_slice(&down[..read]);
                    }
                    if armed == Cut::Silence as u8 {
                        std::future::pending::<()>().await;
                    }
                    return Ok(());
                }
            }
            read = from_server.read(&mut down) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                to_client.write_all(&down[..read]).await?;
            }
        }
    }
}
