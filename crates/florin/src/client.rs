//! The client half: talks to `/v1` as any merchant's program does.

pub(crate) mod commands;
mod fixes;
mod http;
pub(crate) mod listen;
mod print;
pub(crate) mod trigger;

use std::io::Read;
use std::path::Path;

use florin_core::secret::Secret;
use serde_json::Value;

use crate::cli::Remote;
use crate::say::plain;

/// Why a client command failed, with its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) problem: Value,
    /// The same call may do later what it did not do now.
    passing: bool,
    /// Whether it was carried out is not known.
    unknown: bool,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |name: &str| {
            self.problem
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        f.write_str(text("detail").unwrap_or_default())?;
        text("fix").map_or(Ok(()), |fix| write!(f, ": {fix}"))
    }
}

impl std::error::Error for Failure {}

/// Exit codes; [`EXIT_CODES`] tells people about them.
pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const NOT_ALLOWED: u8 = 3;
pub(crate) const NOT_FOUND: u8 = 4;
pub(crate) const CONFLICT: u8 = 5;
/// Nobody answered that can be reached, or nobody knows how it ended: look before it is asked for once more.
pub(crate) const UNREACHABLE: u8 = 6;

/// What `--help` and the manual page say of them.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  done; after `pay`: the money is taken or held (`--method hosted`: there is a link);
     after `capture`, `void`, `cancel` and `refund`: the provider has done it
  1  it failed: declined, refused by the provider, or something is wrong;
     after `audit`: a law is broken; after `restore`: something differs
  2  the command line, or a value in it, cannot be
  3  the key is missing, not in force, or may not do this
  4  there is no such thing
  5  it conflicts with what is there
  6  nobody can be reached, or the outcome is not known: look before you repeat it";

/// Letters that are shown of an answer that nobody can read.
const SHOWN_CHARS: usize = 60;
const NO_FLORIN: &str = "see that --api names Florin's server, and that no proxy answers in its place";

impl Failure {
    pub(crate) fn new(code: u8, what: &str, detail: impl Into<String>, fix: &str) -> Self {
        Self {
            code,
            problem: serde_json::json!({ "code": what, "detail": detail.into(), "fix": fix }),
            passing: code == UNREACHABLE,
            unknown: false,
        }
    }

    /// What the server said, and what that means to a script.
    fn from_problem(method: &str, status: u16, mut problem: Value) -> Self {
        if !problem.is_object() {
            let detail = format!("the server answered {status} and gave no reason");
            problem = serde_json::json!({ "code": "no_reason", "detail": detail, "fix": NO_FLORIN });
        }
        fixes::of_the_command_line(&mut problem);
        let said = problem.get("code").and_then(Value::as_str).unwrap_or_default();
        let code = match status {
            401 | 403 => NOT_ALLOWED,
            404 => NOT_FOUND,
            409 => CONFLICT,
            422 if said == "key_reused" => CONFLICT,
            400 | 413 | 422 => USAGE,
            _ if is_unknown(method, status, said) => UNREACHABLE,
            _ => FAILED,
        };
        let failure = Self {
            code,
            problem,
            passing: status == 429 || code == UNREACHABLE,
            unknown: false,
        };
        if code == UNREACHABLE && method != "GET" {
            failure.before_a_repeat()
        } else {
            failure
        }
    }

    /// Something answered that all is well, and not in the words of this API: a proxy's page, or another server.
    fn unclear(method: &str, base: &str, status: u16, text: &[u8]) -> Self {
        let start: String = String::from_utf8_lossy(text).chars().take(SHOWN_CHARS).collect();
        let detail = format!("{base} answered {status} and no JSON object (`{start}`)");
        if method == "GET" {
            return Self::new(UNREACHABLE, "unclear_answer", detail, NO_FLORIN);
        }
        let detail = format!("{detail}; whether it was done is not known");
        Self::new(UNREACHABLE, "unclear_answer", detail, NO_FLORIN).before_a_repeat()
    }

    /// What to do before a call is made once more, if nobody knows what became of it and nothing says so yet.
    fn before_a_repeat(mut self) -> Self {
        self.unknown = true;
        let fix = self.problem.get("fix").and_then(Value::as_str).unwrap_or_default();
        let look = match fix {
            "" => fixes::LOOK_FIRST.to_owned(),
            said if said.contains(fixes::LOOK_FIRST) => return self,
            said => format!("{said}; {}", fixes::LOOK_FIRST),
        };
        self.problem["fix"] = look.into();
        self
    }

    /// That this try did nothing says nothing about an earlier one whose answer was lost.
    fn after_a_lost_try(mut self) -> Self {
        match self.code {
            FAILED | NOT_ALLOWED => self.code = UNREACHABLE,
            UNREACHABLE if !self.unknown => {}
            // Whoever answered this is not Florin: a proxy, while the server starts.
            _ if self.problem["code"] == "no_reason" => self.code = UNREACHABLE,
            _ => return self,
        }
        let text = |name: &str| self.problem.get(name).and_then(Value::as_str).unwrap_or_default();
        let said = ["detail", "title"].map(text).into_iter().find(|said| !said.is_empty());
        let said = said.unwrap_or("the last try was refused");
        let detail = format!("{said}; whether an earlier try was carried out is not known");
        self.problem["detail"] = detail.into();
        self.before_a_repeat()
    }

    /// What to do before a payment is asked for once more, if nobody knows what became of it.
    fn look_first(mut self, reference: &str) -> Self {
        if self.code == UNREACHABLE {
            let fix = self.problem.get("fix").and_then(Value::as_str).unwrap_or_default();
            let look = format!(
                "{fix}: `florin get {reference}` shows it, and `--reference {reference}` makes no second order"
            );
            self.problem["fix"] = look.into();
        }
        self
    }

    /// A mistake on the command line that only this command can see.
    pub(crate) fn usage(detail: impl Into<String>, fix: &str) -> Self {
        Self::new(USAGE, "usage", detail, fix)
    }

    /// On standard error: a sentence, or JSON.
    pub(crate) fn print(&self, json: bool) {
        if json {
            crate::say::note(&crate::say::json(&self.problem));
            return;
        }
        let text = |name: &str| {
            self.problem
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let detail = text("detail").or_else(|| text("title"));
        let detail = detail.unwrap_or("the server gave no reason");
        crate::say::note(&plain(&format!("florin: {detail}")));
        if let Some(fix) = text("fix").and_then(in_text) {
            crate::say::note(&plain(&format!("  {fix}")));
        }
        if let Some(order) = text("order") {
            crate::say::note(&plain(&format!("  order {order}")));
        }
        if let Some(id) = text("request_id") {
            crate::say::note(&plain(&format!("  request {id}")));
        }
    }
}

/// Whether nobody knows what became of a call. A read changes nothing: it need only be known whether the server was there.
fn is_unknown(method: &str, status: u16, said: &str) -> bool {
    // Proxies say 408 and 520 to 527 too, of a server that gave them no answer.
    let nobody = matches!(status, 408 | 502..=504 | 520..=527);
    let nothing_done = status == 507 || said == "record_damaged";
    nobody || (method != "GET" && (500..=599).contains(&status) && !nothing_done)
}

/// A `fix` for who reads text and no JSON: the line above is the `detail`, and what `param` names is no name of the command line.
fn in_text(fix: &str) -> Option<String> {
    (!fix.contains("`param`")).then(|| fix.replace("`detail`", "the line above"))
}

/// What the server answered to a call that it carried out.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) body: Value,
    /// It is not over: the provider has not answered yet.
    pub(crate) open: bool,
}

/// The server and the key.
#[derive(Clone)]
pub(crate) struct Api {
    base: String,
    key: Secret<String>,
    http: http::Http,
}

impl Api {
    /// For a merchant's calls.
    pub(crate) fn merchant(remote: &Remote) -> Result<Self, Failure> {
        Self::open(remote, "FLORIN_KEY", "key")
    }

    /// For the installation's calls (merchants).
    pub(crate) fn admin(remote: &Remote) -> Result<Self, Failure> {
        Self::open(remote, "FLORIN_ADMIN_KEY", "admin_key")
    }

    fn open(remote: &Remote, variable: &str, member: &str) -> Result<Self, Failure> {
        let dev = left_by_dev(&remote.data);
        let from_dev = |name: &str| {
            dev.as_ref()
                .and_then(|line| line.get(name))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let base = remote
            .api
            .clone()
            .filter(|api| !api.is_empty())
            .or_else(|| from_dev("api"))
            .unwrap_or_else(|| "http://127.0.0.1:4000".to_owned());
        address("--api", &base)?;
        let from_variable = || std::env::var_os(variable).map(|key| key.to_string_lossy().into_owned());
        let (given, place) = match &remote.key_file {
            Some(file) => (Some(read_key(file)?), file.display().to_string()),
            None => match from_variable() {
                Some(key) => (Some(key), variable.to_owned()),
                None => (from_dev(member), remote.data.join(DEV_LINE).display().to_string()),
            },
        };
        let key = given.filter(|key| !key.trim().is_empty()).ok_or_else(|| {
            Failure::new(
                NOT_ALLOWED,
                "no_key",
                "there is no API key to use",
                &format!("set {variable}, name a file with --key-file, or start `florin dev` in this folder"),
            )
        })?;
        let key = key.trim();
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = format!("what {place} holds is no API key: a key is one line of letters, digits and `_`");
            return Err(Failure::usage(detail, "copy the whole key once more, and nothing else"));
        }
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            key: Secret::new(key.to_owned()),
            http: http::Http::new(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.call("GET", path, None, None).await?.body)
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.call("DELETE", path, None, None).await?.body)
    }

    /// Posts under a new idempotency key, and tries again under the same one while the server cannot be reached or is busy.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        Ok(self.ask(path, body).await?.body)
    }

    /// The same, and says whether it is over.
    pub(crate) async fn ask(&self, path: &str, body: &Value) -> Result<Done, Failure> {
        let key = florin_services::dice::token::<16>();
        let mut waits_ms = [200, 1_000, 3_000].into_iter();
        let mut lost = false;
        loop {
            let answer = self.call("POST", path, Some(body), Some(&key)).await;
            let again = answer.as_ref().is_err_and(|failure| failure.passing);
            match waits_ms.next().filter(|_| again) {
                Some(wait_ms) => {
                    lost |= answer.is_err_and(|failure| failure.unknown);
                    tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
                }
                None if lost => return answer.map_err(Failure::after_a_lost_try),
                None => return answer,
            }
        }
    }

    /// Every item of a list, page by page, in the server's order, at most `limit`.
    pub(crate) async fn list(&self, path: &str, query: &[(String, String)], limit: u32) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        self.each_page(path, query, limit, |page| items.extend(page)).await?;
        Ok(items)
    }

    /// The same, each page as it comes. Answers how many items there were.
    pub(crate) async fn each_page(
        &self,
        path: &str,
        query: &[(String, String)],
        limit: u32,
        mut take: impl FnMut(Vec<Value>),
    ) -> Result<u32, Failure> {
        const PAGE: u32 = 100;
        let (mut got, mut last) = (0_u32, None::<String>);
        loop {
            let left = limit.saturating_sub(got);
            let mut query = query.to_vec();
            query.push(("limit".to_owned(), left.min(PAGE).to_string()));
            if let Some(last) = &last {
                query.retain(|(name, _)| name != "after");
                query.push(("after".to_owned(), last.clone()));
            }
            let page = self.get(&format!("{path}?{}", query_text(&query))).await?;
            let more = page.get("has_more").and_then(Value::as_bool).unwrap_or(false);
            let data = page.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            got = got.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
            let end = data
                .last()
                .and_then(|item| item.get("id"))
                .and_then(Value::as_str)
                .map(str::to_owned);
            if end.is_some() && end == last {
                let detail = format!("the list at {path} goes on and on: two pages end with the same item");
                return Err(Failure::new(FAILED, "endless_list", detail, NO_FLORIN));
            }
            last = end;
            take(data);
            if !more || last.is_none() || got >= limit {
                return Ok(got);
            }
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>, key: Option<&str>) -> Result<Done, Failure> {
        const ACCEPTED: u16 = 202;
        let url = format!("{}{path}", self.base);
        let (status, text) = self
            .http
            .call(method, &url, &self.key, body, key)
            .await
            .map_err(|unanswered| {
                let detail = format!("cannot reach {}: {}", self.base, unanswered.why);
                let start = "start the server with `florin dev`, or name its address with --api";
                let failure = Failure::new(UNREACHABLE, "unreachable", detail, start);
                if unanswered.sent && method != "GET" {
                    failure.before_a_repeat()
                } else {
                    failure
                }
            })?;
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        if !(200..300).contains(&status) {
            return Err(Failure::from_problem(method, status, value));
        }
        if !value.is_object() {
            return Err(Failure::unclear(method, &self.base, status, &text));
        }
        Ok(Done {
            body: value,
            open: status == ACCEPTED,
        })
    }
}

/// Whether something can be called at all: an http or https address.
pub(crate) fn address(option: &str, text: &str) -> Result<(), Failure> {
    let parsed = url::Url::parse(text).ok();
    let good = parsed.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if good && plain {
        return Ok(());
    }
    let detail = format!("`{text}` is no address");
    Err(Failure::usage(
        detail,
        &format!("write {option} http://127.0.0.1:4000, for example"),
    ))
}

/// An id as one piece of a path, whatever somebody typed.
pub(crate) fn piece(id: &str) -> String {
    let written: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    written.replace('+', "%20")
}

/// `name=value` pairs as a query.
pub(crate) fn query_text(pairs: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// The file of the data folder in which `dev` leaves it.
const DEV_LINE: &str = "dev.json";

/// The line that `dev` printed when it was ready.
fn left_by_dev(data: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(data.join(DEV_LINE)).ok()?).ok()
}

/// The largest file that may hold a key: a key has 60 letters, and a file may end in blanks.
const KEY_FILE_BYTES_MAX: u64 = 4_096;

fn read_key(file: &Path) -> Result<String, Failure> {
    let no_key = |why: String| {
        let detail = format!("cannot read the key from {}: {why}", file.display());
        Failure::new(USAGE, "no_key", detail, "name a file that holds the key alone")
    };
    // A byte more than is allowed tells that there is more.
    let some = |from: &mut dyn Read| {
        let mut text = Vec::new();
        from.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut text).map(|_| text)
    };
    let read = if file == Path::new("-") {
        some(&mut std::io::stdin())
    } else {
        std::fs::File::open(file).and_then(|mut file| some(&mut file))
    };
    let text = read.map_err(|error| no_key(error.to_string()))?;
    if text.len() as u64 > KEY_FILE_BYTES_MAX {
        return Err(no_key(format!("it holds more than {KEY_FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(text).map_err(|_| no_key("it holds no text".to_owned()))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that gives everybody this answer: its address.
    pub(crate) async fn server_that_answers(status: &str, body: Vec<u8>) -> String {
        let status = status.to_owned();
        server_that_hears(move |_| (status.clone(), body.clone())).await
    }

    /// A server that answers what it hears (status, body): its address.
    pub(crate) async fn server_that_hears(
        mut answer: impl FnMut(&str) -> (String, Vec<u8>) + Send + 'static,
    ) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut asked = [0; 4_096];
                let heard = socket.read(&mut asked).await.unwrap_or_default();
                let (status, body) = answer(&String::from_utf8_lossy(&asked[..heard]));
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = socket.write_all(head.as_bytes()).await;
                let _ = socket.write_all(&body).await;
            }
        });
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        base
    }

    /// A client of such a server.
    async fn api_that_answers(status: &str, body: Vec<u8>) -> Api {
        Api {
            base: server_that_answers(status, body).await,
            key: Secret::new("sk_test_x".to_owned()),
            http: http::Http::new(),
        }
    }

    #[tokio::test]
    async fn a_page_that_says_all_is_well_is_no_answer() {
        for page in [
            "<html>Welcome to the hotel, please log in</html>",
            "",
            "null",
            "[]",
            "5",
        ] {
            let api = api_that_answers("200 OK", page.as_bytes().to_vec()).await;
            let failure = api.call("POST", "/v1/orders", None, None).await.unwrap_err();
            assert_eq!(failure.code, UNREACHABLE, "{page}");
            assert!(failure.passing, "it may be asked again under the same idempotency key");
            let detail = failure.problem["detail"].as_str().unwrap();
            assert!(detail.contains("whether it was done is not known"), "{detail}");
            let failure = failure.look_first("A-17");
            let fix = failure.problem["fix"].as_str().unwrap();
            assert!(fix.contains("florin get A-17"), "{fix}");
        }
    }

    #[test]
    fn a_fix_in_text_names_no_member_that_text_does_not_show() {
        assert_eq!(
            in_text("change what `param` names as `detail` says, and call again"),
            None
        );
        assert_eq!(
            in_text("use a key with the scope that `detail` names").unwrap(),
            "use a key with the scope that the line above names"
        );
        assert_eq!(in_text("make a new order").unwrap(), "make a new order");
    }

    #[tokio::test]
    async fn a_list_that_never_moves_on_ends() {
        let page = json!({ "data": [{ "id": "same" }], "has_more": true }).to_string();
        let api = api_that_answers("200 OK", page.into_bytes()).await;
        let listed = api.list("/v1/orders", &[], u32::MAX);
        let listed = tokio::time::timeout(std::time::Duration::from_secs(20), listed).await;
        assert_eq!(listed.expect("it ends").unwrap_err().problem["code"], "endless_list");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_kept() {
        let mut body = vec![b' '; http::ANSWER_BYTES_MAX];
        body.extend_from_slice(b"{}");
        let api = api_that_answers("200 OK", body).await;
        let failure = api.get("/v1/orders/ord_1").await.unwrap_err();
        let detail = failure.problem["detail"].as_str().unwrap();
        assert!(
            failure.code == UNREACHABLE && detail.contains("larger than"),
            "{detail}"
        );
    }

    #[test]
    fn what_a_server_refuses_is_the_callers_mistake_a_conflict_or_passing() {
        for (status, said, code, passing) in [
            (400, "unknown_member", USAGE, false),
            (422, "invalid_value", USAGE, false),
            (422, "key_reused", CONFLICT, false),
            (409, "already_paid", CONFLICT, false),
            (401, "unauthorized", NOT_ALLOWED, false),
            (404, "not_found", NOT_FOUND, false),
            (429, "rate_limited", FAILED, true),
            (503, "unavailable", UNREACHABLE, true),
        ] {
            let failure = Failure::from_problem("POST", status, json!({ "code": said }));
            assert_eq!((failure.code, failure.passing), (code, passing), "{status} {said}");
        }
    }

    #[tokio::test]
    async fn a_failure_that_does_not_say_what_was_done_is_no_failure_of_a_call_that_changes_something() {
        const PAGE: &str = "<html>try again later</html>";
        let problem = |code: &str| json!({ "code": code, "fix": "as the server says" }).to_string();
        for (status, said, reads, changes) in [
            ("408 Request Timeout", PAGE.to_owned(), UNREACHABLE, UNREACHABLE),
            ("500 Internal Server Error", problem("internal"), FAILED, UNREACHABLE),
            ("500 Internal Server Error", PAGE.to_owned(), FAILED, UNREACHABLE),
            ("500 Internal Server Error", "{}".to_owned(), FAILED, UNREACHABLE),
            ("500 Internal Server Error", problem("record_damaged"), FAILED, FAILED),
            ("502 Bad Gateway", PAGE.to_owned(), UNREACHABLE, UNREACHABLE),
            ("503 Service Unavailable", problem("draining"), UNREACHABLE, UNREACHABLE),
            ("507 Insufficient Storage", problem("disk_full"), FAILED, FAILED),
            ("520 Unknown", PAGE.to_owned(), UNREACHABLE, UNREACHABLE),
            ("527 Unknown", PAGE.to_owned(), UNREACHABLE, UNREACHABLE),
        ] {
            let api = api_that_answers(status, said.clone().into_bytes()).await;
            for (method, code) in [("GET", reads), ("POST", changes), ("DELETE", changes)] {
                let failure = api.call(method, "/v1/orders", None, None).await.unwrap_err();
                assert_eq!(failure.code, code, "{method}: {status} {said}");
                assert_eq!(failure.passing, code == UNREACHABLE, "{method}: {status} {said}");
                let fix = failure.problem["fix"].as_str().unwrap_or_default();
                let looks = fix.contains("look what became of it");
                assert_eq!(
                    looks,
                    method != "GET" && code == UNREACHABLE,
                    "{method}: {status} {said}: {fix}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_call_that_went_out_and_got_no_answer_is_looked_for_and_one_that_never_did_is_not() {
        const LOOK: &str = "look what became of it";
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let deaf = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 4_096]).await;
            }
        });
        let api = Api {
            base,
            ..api_that_answers("200 OK", Vec::new()).await
        };
        for (method, looks) in [("GET", false), ("POST", true), ("DELETE", true)] {
            let failure = api.call(method, "/v1/orders/ord_1", None, None).await.unwrap_err();
            assert_eq!(failure.code, UNREACHABLE);
            let fix = failure.problem["fix"].as_str().unwrap();
            assert_eq!(fix.contains(LOOK), looks, "{method}: {fix}");
        }
        deaf.abort();
        let _ = deaf.await;
        let failure = api.call("POST", "/v1/orders", None, None).await.unwrap_err();
        let fix = failure.problem["fix"].as_str().unwrap();
        assert!(fix.contains("start the server") && !fix.contains(LOOK), "{fix}");
    }

    #[tokio::test]
    async fn a_try_that_was_lost_is_not_forgotten_when_the_next_one_is_refused() {
        for (status, body, known) in [
            (
                "507 Insufficient Storage",
                r#"{"code":"disk_full","fix":"repeat the call"}"#,
                false,
            ),
            // A proxy, while the server starts, and a key that was ended meanwhile.
            ("404 Not Found", "<h1>404</h1>", false),
            (
                "401 Unauthorized",
                r#"{"code":"unauthorized","fix":"send a key"}"#,
                false,
            ),
            // Florin's own word under the same key.
            ("409 Conflict", r#"{"code":"not_refundable","fix":"look"}"#, true),
        ] {
            let mut calls = 0;
            let base = server_that_hears(move |_| {
                calls += 1;
                match calls {
                    1 => ("502 Bad Gateway".to_owned(), b"lost".to_vec()),
                    _ => (status.to_owned(), body.as_bytes().to_vec()),
                }
            });
            let api = Api {
                base: base.await,
                ..api_that_answers("200 OK", Vec::new()).await
            };
            let failure = api.post("/v1/orders/ord_1/refunds", &json!({})).await.unwrap_err();
            let fix = failure.problem["fix"].as_str().unwrap();
            assert_eq!(failure.code != UNREACHABLE, known, "{status}: {fix}");
            assert_eq!(!fix.contains("look what became of it"), known, "{status}: {fix}");
        }
    }

    #[test]
    fn an_id_is_one_piece_of_a_path_whatever_was_typed() {
        assert_eq!(piece("ord_01"), "ord_01");
        assert_eq!(piece("a b/../ä?x"), "a%20b%2F..%2F%C3%A4%3Fx");
    }

    /// Opens the API with a key file of these bytes.
    fn open_with(name: &str, key: &[u8]) -> Result<Api, Failure> {
        let file = std::env::temp_dir().join(format!("florin-key-{name}-{}", std::process::id()));
        std::fs::write(&file, key).unwrap();
        let opened = open_at(&file);
        std::fs::remove_file(&file).unwrap();
        opened
    }

    fn open_at(file: &Path) -> Result<Api, Failure> {
        Api::merchant(&Remote {
            api: Some("http://127.0.0.1:1".to_owned()),
            key_file: Some(file.to_path_buf()),
            data: Default::default(),
        })
    }

    #[test]
    fn what_is_no_key_is_said_to_be_none_and_goes_nowhere() {
        assert!(open_with("good", b" sk_test_0a\n").is_ok());
        for (name, bytes) in [
            ("two-lines", &b"sk_test_0a\nsk_test_0b\n"[..]),
            ("ellipsis", "sk_test_\u{2026}".as_bytes()),
            ("blank", b"sk_test_0a sk_test_0b"),
        ] {
            let failure = open_with(name, bytes).err().unwrap();
            let detail = failure.problem["detail"].as_str().unwrap();
            assert_eq!(failure.code, USAGE, "{detail}");
            assert!(detail.contains(name) && detail.contains("is no API key"), "{detail}");
            assert!(!detail.contains("sk_test_0"), "{detail}");
        }
        let failure = open_at(Path::new("/dev/zero")).err().unwrap();
        let detail = failure.problem["detail"].as_str().unwrap();
        assert!(
            failure.code == USAGE && detail.contains("more than 4096 bytes"),
            "{detail}"
        );
        assert_eq!(open_with("binary", &[0xff, 0xfe]).err().unwrap().code, USAGE);
    }

    #[test]
    fn only_http_addresses_are_called() {
        for good in ["http://127.0.0.1:4000", "https://pay.example/hook?a=b"] {
            assert!(address("--api", good).is_ok(), "{good}");
        }
        for bad in ["", "nope", "ftp://x", "http://127.0.0.1:9 9", "http://"] {
            assert_eq!(address("--api", bad).unwrap_err().code, USAGE, "{bad}");
        }
    }
}
