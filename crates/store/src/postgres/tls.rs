//! TLS to PostgreSQL: who is spoken to in clear, and whose certificate is believed.
//!
//! The words are libpq's, with one difference: whatever asks for TLS has the server's certificate and name checked. `sslmode=disable` is
//! clear, `require`, `verify-ca` and `verify-full` are checked TLS, and without a word what stays on this machine is clear and anything else
//! is refused. `sslrootcert=FILE` (PEM) names who may have signed the certificate instead of the system's authorities.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::Fault;

/// What somebody is told whose database is elsewhere and who said nothing of TLS.
const SAY: &str = "the database is on another machine, and its address does not say whether to speak TLS: add sslmode=require (its \
                   certificate is checked; sslrootcert=FILE if an authority of your own signed it), or sslmode=disable if the network between \
                   is closed";

/// The address without what the client library does not know, and whose certificates are believed.
pub(super) fn read(url: &str) -> (String, Option<PathBuf>) {
    let Some((address, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let mut authorities = None;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", file)) => authorities = Some(PathBuf::from(file.replace("%2F", "/"))),
            Some(("sslmode", "verify-ca" | "verify-full")) => kept.push("sslmode=require"),
            Some(_) | None => kept.push(pair),
        }
    }
    (format!("{address}?{}", kept.join("&")), authorities)
}

/// Whether TLS is to be spoken with the server of this address.
pub(super) fn is_wanted(config: &Config, url: &str) -> Result<bool, Fault> {
    let local = config.get_hosts().iter().all(is_local) && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
    match config.get_ssl_mode() {
        SslMode::Require => Ok(true),
        SslMode::Disable => Ok(false),
        // `prefer`: said, or nothing was said. It would take clear from whoever offers it.
        _ if local => Ok(false),
        _ if url.contains("sslmode=prefer") => Err(Fault::Refused(format!("sslmode=prefer is no protection: {SAY}"))),
        _ => Err(Fault::Refused(SAY.to_owned())),
    }
}

/// Whether what is said to this host stays on this machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()),
    }
}

/// Makes connections whose certificates are checked against a file, or against the system's authorities.
pub(super) fn connector(authorities: Option<&Path>) -> Result<MakeRustlsConnect, Fault> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(file) => {
            let wrong =
                |what: &dyn std::fmt::Display| Fault::Refused(format!("sslrootcert {}: {what}", file.display()));
            for found in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
                let certificate = found.map_err(|error| wrong(&error))?;
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
            if roots.is_empty() {
                return Err(wrong(&"there is no certificate in it"));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(Fault::Refused(
                    "this system has no certificate authorities: install ca-certificates, or name yours with sslrootcert=FILE".to_owned(),
                ));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault::Refused(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(url: &str) -> Result<bool, Fault> {
        let (url, _) = read(url);
        is_wanted(&url.parse().unwrap(), &url)
    }

    #[test]
    fn what_leaves_the_machine_is_clear_only_if_somebody_said_so() {
        for (url, tls) in [
            ("postgres:///florin?host=/var/run/postgresql", Some(false)),
            ("postgres://u:p@127.0.0.1/florin", Some(false)),
            ("postgres://u:p@localhost/florin?sslmode=prefer", Some(false)),
            ("postgres://u:p@[::1]/florin", Some(false)),
            ("postgres://u:p@127.0.0.1/florin?sslmode=require", Some(true)),
            ("postgres://u:p@db.example/florin?sslmode=disable", Some(false)),
            ("postgres://u:p@db.example/florin?sslmode=verify-full", Some(true)),
            (
                "postgres://u:p@db.example/florin?connect_timeout=3&sslmode=require",
                Some(true),
            ),
            ("postgres://u:p@db.example/florin", None),
            ("postgres://u:p@db.example/florin?sslmode=prefer", None),
            ("postgres://u:p@10.0.0.7/florin", None),
            ("postgres://u:p@127.0.0.1,db.example/florin", None),
        ] {
            assert_eq!(wanted(url).ok(), tls, "{url}");
        }
    }

    #[test]
    fn the_file_of_authorities_is_taken_out_of_the_address() {
        let (url, file) =
            read("postgres://u@db/florin?sslrootcert=/etc/florin/ca.pem&sslmode=verify-full&application_name=x");
        assert_eq!(url, "postgres://u@db/florin?sslmode=require&application_name=x");
        assert_eq!(file.unwrap(), Path::new("/etc/florin/ca.pem"));
        assert_eq!(read("postgres://u@db/florin").1, None);
    }
}
