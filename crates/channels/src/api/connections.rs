//! Connections: a merchant's accounts at providers. Their secrets are named here and stand in the configuration.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use florin_core::id::ConnectionId;
use florin_core::rail::Table;
use florin_services::directory::{Connection, Scope};
use florin_services::keyring::{self, KeyringError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ask::{distinct, pairs, text, url};
use super::gate::{Call, Caller};
use super::orders::no_such;
use super::params::Params;
use super::settings::{changed_answer, made_answer};
use super::shapes::{List, mode_word, rfc3339};
use crate::Doors;
use crate::problem::Problem;

/// A merchant's account at a provider.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConnectionShape {
    /// Its id.
    pub id: String,
    /// `connection`.
    pub object: &'static str,
    /// `test` or `live`.
    pub mode: &'static str,
    /// The provider.
    pub rail: String,
    /// Its address.
    pub base: String,
    /// Names of its secrets in this server's configuration.
    pub secrets: BTreeMap<String, String>,
    /// Anything else.
    pub settings: BTreeMap<String, String>,
    /// Used when a call names none.
    pub default: bool,
    /// Whether new attempts may use it.
    pub enabled: bool,
    /// Where the provider sends its webhooks.
    pub hook_url: String,
    /// When it was made.
    pub created_at: String,
}

/// Adds a connection. Secrets are named, never sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionBody {
    /// The provider: `stripe`.
    #[schema(max_length = 40, example = "stripe")]
    pub rail: String,
    /// Its address, if it is not the provider's usual one.
    #[schema(max_length = 2048)]
    pub base: Option<String>,
    /// The rail's word (`api_key`, `webhook_secret`) to a name under `[secrets]` in this server's configuration.
    #[serde(default, deserialize_with = "distinct")]
    pub secrets: BTreeMap<String, String>,
    /// Anything else that the provider's sheet asks for.
    #[serde(default, deserialize_with = "distinct")]
    pub settings: BTreeMap<String, String>,
    /// Use it when a call names none: the merchant's other connections of this mode are the default no longer.
    #[serde(default)]
    pub default: bool,
}

/// Changes a connection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionChange {
    /// Use it when a call names none: the merchant's other connections of this mode are the default no longer.
    pub default: Option<bool>,
    /// Whether new attempts may use it.
    pub enabled: Option<bool>,
}

/// Adds a connection to a provider.
#[utoipa::path(post, path = "/v1/connections", tag = "connections", request_body = ConnectionBody,
    responses((status = 201, description = "Added", body = ConnectionShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn create(State(doors): State<Doors>, call: Call<Caller>) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: ConnectionBody = call.read()?;
    let rail = doors.rail(&body.rail).ok_or_else(|| {
        let known: Vec<&str> = doors.rails().iter().map(|rail| rail.table().name).collect();
        Problem::new(
            "invalid_value",
            format!("there is no rail `{}`; there are {}", body.rail, known.join(", ")),
        )
        .at("rail")
    })?;
    let table = rail.table();
    for (word, name) in &body.secrets {
        text("secrets", name, 1, 100)?;
        if !table.secrets.contains(&word.as_str()) {
            let detail = format!("the rail has no secret `{word}`; it has {}", table.secrets.join(", "));
            return Err(Problem::new("invalid_value", detail).at("secrets"));
        }
        nameable(name).map_err(|detail| Problem::new("invalid_value", detail).at("secrets"))?;
        // With one merchant all secrets are theirs. With several, each names only what the configuration gives to them.
        let tenant = call.caller.tenant;
        let shared = doors.settings.any_provider_address || doors.directory.merchants().len() <= 1;
        if !shared && !doors.engine.keyring().is_owned(tenant, name) {
            let detail = format!(
                "this server has several merchants, and no secret `{name}` of yours: its operator writes it under [secrets.{}.{}]",
                tenant.merchant,
                mode_word(tenant.mode)
            );
            let fix = "ask who runs this server to write it there, then repeat the call; the secrets of other merchants cannot be named";
            return Err(Problem::new("forbidden", detail).at("secrets").fix(fix));
        }
    }
    pairs("settings", &body.settings)?;
    let base = url("base", body.base.as_ref())?;
    let base = address_of(table, base, doors.settings.any_provider_address)?;
    let connection = Connection {
        id: ConnectionId::from_uuid(doors.directory.new_uuid()),
        tenant: call.caller.tenant,
        rail: body.rail,
        base: base.trim_end_matches('/').to_owned(),
        own: (body.secrets.iter())
            .filter(|(_, name)| doors.engine.keyring().is_owned(call.caller.tenant, name))
            .map(|(word, _)| word.clone())
            .collect(),
        secrets: body.secrets,
        settings: body.settings,
        default: body.default,
        enabled: true,
        created_at: doors.directory.now(),
    };
    for word in connection.secrets.keys() {
        // What the configuration does not have yet may come; what is there must be of this mode.
        if let Err(error @ KeyringError::OtherMode(_)) = doors.engine.keyring().all(&connection, word) {
            return Err(Problem::new("invalid_value", error.to_string()).at("secrets"));
        }
    }
    let made = doors
        .directory
        .make(Some(call.caller.tenant), connection, call.key.clone())
        .await?;
    Ok(made_answer(made.replayed, ConnectionShape::of(&made.document, &doors)))
}

/// Why no connection may name a secret so, whatever the configuration has under that name.
fn nameable(name: &str) -> Result<(), String> {
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    {
        return Err("the name of a secret has letters, digits, `_`, `-` and `.`".to_owned());
    }
    if name.starts_with("sk_") || name.starts_with("whsec_") || name.starts_with("rk_") {
        let detail = "this looks like a secret itself: write it under [secrets] in this server's configuration and send its name";
        return Err(detail.to_owned());
    }
    if keyring::OF_THE_SERVER.contains(&name) {
        return Err(format!(
            "`{name}` is this server's own secret: write the provider's under another name under [secrets] and send that name"
        ));
    }
    Ok(())
}

/// Where the provider is that a new connection speaks to.
fn address_of(table: &Table, named: Option<String>, any: bool) -> Result<String, Problem> {
    // What is on this machine is nobody's provider without the word of its operator.
    let hosts = table.hosts.iter().filter(|host| **host != "loopback");
    let known: Vec<String> = hosts.map(|host| format!("https://{host}")).collect();
    // Only an operator may point a connection somewhere else: the call would carry the credential there.
    let found = match named {
        Some(base) => (any || known.contains(&base)).then_some(base),
        None => known.first().cloned(),
    };
    found.ok_or_else(|| {
        let (detail, fix) = match known.as_slice() {
            [] => (
                format!("the provider `{}` is a simulated one, and has no address of its own", table.name),
                "send its address as `base`; who runs this server has to allow that with `any_address` under [providers]",
            ),
            known => (
                format!("the address can be {}", known.join(", ")),
                "leave out `base`; who runs this server can allow any address with `any_address` under [providers]",
            ),
        };
        Problem::new("invalid_value", detail).at("base").fix(fix)
    })
}

/// Connections, newest first.
#[utoipa::path(get, path = "/v1/connections", tag = "connections",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 100), ("after" = Option<String>, Query)),
    responses((status = 200, description = "A page", body = List<ConnectionShape>),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn list(
    State(doors): State<Doors>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<ConnectionShape>>, Problem> {
    caller.may(Scope::Read)?;
    let params = Params::read(query.as_deref(), &[])?;
    let (limit, after) = (params.limit()?, params.after::<ConnectionId>()?);
    let all = doors.directory.connections(caller.tenant);
    let page = all
        .iter()
        .filter(|connection| after.is_none_or(|after| connection.id < after));
    Ok(Json(List::page(
        page.take(limit as usize + 1)
            .map(|connection| ConnectionShape::of(connection, &doors)),
        limit,
    )))
}

/// One connection.
#[utoipa::path(get, path = "/v1/connections/{id}", tag = "connections", params(("id" = String, Path)),
    responses((status = 200, description = "The connection", body = ConnectionShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn get(
    State(doors): State<Doors>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ConnectionShape>, Problem> {
    caller.may(Scope::Read)?;
    let found = doors
        .directory
        .get::<Connection>(Some(caller.tenant), &id)
        .await?
        .ok_or_else(|| no_such("connection"))?;
    Ok(Json(ConnectionShape::of(&found, &doors)))
}

/// Changes a connection.
#[utoipa::path(post, path = "/v1/connections/{id}", tag = "connections", request_body = ConnectionChange, params(("id" = String, Path)),
    responses((status = 200, description = "Changed", body = ConnectionShape),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "Not now", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn change(
    State(doors): State<Doors>,
    Path(id): Path<String>,
    call: Call<Caller>,
) -> Result<Response, Problem> {
    call.caller.may(Scope::Manage)?;
    let body: ConnectionChange = call.read()?;
    let change = |connection: &mut Connection| {
        connection.default = body.default.unwrap_or(connection.default);
        connection.enabled = body.enabled.unwrap_or(connection.enabled);
    };
    let changed = doors
        .directory
        .change_once::<Connection>(call.caller.tenant, &id, call.key.clone(), change)
        .await?;
    let shape = ConnectionShape::of(&changed.document, &doors);
    Ok(changed_answer(changed.replayed, shape))
}

impl ConnectionShape {
    fn of(connection: &Connection, doors: &Doors) -> Self {
        Self {
            id: connection.id.to_string(),
            object: "connection",
            mode: mode_word(connection.tenant.mode),
            rail: connection.rail.clone(),
            base: connection.base.clone(),
            secrets: connection.secrets.clone(),
            settings: connection.settings.clone(),
            default: connection.default,
            enabled: connection.enabled,
            hook_url: format!("{}/hooks/{}", doors.settings.api_url, connection.id),
            created_at: rfc3339(connection.created_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_connection_names_the_servers_own_secrets_or_a_secret_itself() {
        for good in ["stripe_key", "acme.hook-2", "my_root_key"] {
            assert_eq!(nameable(good), Ok(()));
        }
        for (name, says) in [
            ("root_key", "`root_key` is this server's own secret"),
            ("admin_key", "`admin_key` is this server's own secret"),
            ("sk_live_x", "this looks like a secret itself"),
            ("a/b", "the name of a secret has letters"),
        ] {
            let said = nameable(name).unwrap_err();
            assert!(said.starts_with(says), "{name}: {said}");
            assert!(!said.contains("sk_live_x"), "{said}");
        }
    }

    #[test]
    fn a_connection_speaks_to_its_provider_and_to_others_only_if_the_operator_allows_it() {
        let table = |hosts| Table {
            name: "acme",
            steps: &[],
            currencies: &[],
            hosts,
            secrets: &[],
            exchanges: &[],
            waits: &[],
            refs: &[],
            remembers_s: 0,
            refund_days: 0,
        };
        let (real, simulated) = (table(&["api.acme.test", "loopback"]), table(&["loopback"]));
        let of = |table: &Table, base: Option<&str>, any| {
            address_of(table, base.map(str::to_owned), any).map_err(|problem| problem.detail + "; " + &problem.fix)
        };
        assert_eq!(of(&real, None, false).unwrap(), "https://api.acme.test");
        assert_eq!(
            of(&real, Some("https://api.acme.test"), false).unwrap(),
            "https://api.acme.test"
        );
        for elsewhere in ["https://loopback", "http://127.0.0.1:4003"] {
            let said = of(&real, Some(elsewhere), false).unwrap_err();
            assert!(
                said.contains("https://api.acme.test") && said.contains("any_address"),
                "{said}"
            );
            assert!(!said.contains("loopback"), "{said}");
            assert_eq!(of(&real, Some(elsewhere), true).unwrap(), elsewhere);
        }
        assert!(
            of(&simulated, None, true).is_err(),
            "it is nowhere unless somebody says where"
        );
    }
}
