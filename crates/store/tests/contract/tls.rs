//! TLS to a real PostgreSQL: its certificate and its name are checked, by whichever of libpq's words TLS was asked for.

use std::path::PathBuf;
use std::process::Command;

use florin_store::postgres::{PostgresStore, Settings};
use florin_store::{Fault, Store};

use crate::support::cluster::{Cluster, own};

/// What the certificate is to say: a server's, not an authority's.
const WISH: &str = "[req]
distinguished_name = name
x509_extensions = more
prompt = no
[name]
CN = localhost
[more]
subjectAltName = DNS:localhost
basicConstraints = critical, CA:FALSE
";

/// A server whose certificate says `localhost`, and the file that says who signed it.
fn server() -> (Cluster, PathBuf) {
    let folder = std::env::temp_dir().join(format!("florin-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key, wish) = (
        folder.join("server.pem"),
        folder.join("server.key"),
        folder.join("wish"),
    );
    std::fs::write(&wish, WISH).unwrap();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-config",
        ])
        .arg(&wish)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .expect("openssl, which comes with Debian's PostgreSQL");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    own(&key);
    let settings = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    (Cluster::start(&settings), certificate)
}

async fn open(host: &str, port: u16, words: &str) -> Result<PostgresStore, Fault> {
    PostgresStore::open(&Settings::at(format!(
        "postgres://postgres@{host}:{port}/postgres?{words}"
    )))
    .await
}

#[tokio::test]
async fn tls_is_spoken_with_the_server_that_the_certificate_names_and_with_no_other() {
    let (cluster, authority) = server();
    let port = cluster.port;
    let signed = format!("sslrootcert={}", authority.display());
    for word in ["require", "verify-ca", "verify-full"] {
        let store = open("localhost", port, &format!("sslmode={word}&{signed}"))
            .await
            .unwrap();
        store.migrate().await.unwrap();
        let admin = cluster.admin("postgres").await;
        let sql = "select count(*) filter (where s.ssl), count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) \
                   where a.application_name = 'florin'";
        let row = admin.query_one(sql, &[]).await.unwrap();
        let (covered, all): (i64, i64) = (row.get(0), row.get(1));
        assert!(
            all > 0 && covered == all,
            "{covered} of {all} connections speak TLS under {word}"
        );
    }
    for (host, words, what) in [
        (
            "127.0.0.1",
            format!("sslmode=require&{signed}"),
            "the certificate names another host",
        ),
        (
            "localhost",
            "sslmode=require".to_owned(),
            "nobody whom the system knows signed it",
        ),
        (
            "localhost",
            "sslmode=require&sslrootcert=/nowhere.pem".to_owned(),
            "there is no such file",
        ),
    ] {
        assert!(open(host, port, &words).await.is_err(), "{what}");
    }
    assert!(open("localhost", port, "sslmode=disable").await.is_ok(), "said aloud");
}
