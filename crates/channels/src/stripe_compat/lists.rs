//! Lists as Stripe pages them: newest first, `limit`, `starting_after` and `ending_before` an object, `has_more`.
//!
//! What belongs to an order is listed by its order: newest order first, and within it newest first.

use std::collections::VecDeque;
use std::sync::Arc;

use florin_core::id::OrderId;
use florin_core::status::Word;
use florin_core::time::Timestamp;
use florin_services::directory::Document;
use florin_services::view::View;
use florin_store::{ListRecords, Marks, Record, Search, Tenant};
use serde::Serialize;
use serde_json::Value;

use super::params::Given;
use super::reader::Reader;
use super::shape::{Scene, Seen};
use super::wrong::Wrong;
use crate::lists::{PAGE_BYTES_MAX, written};

/// Objects in one answer.
const LIMIT_MAX: i64 = 100;
const LIMIT: i64 = 10;
/// Orders read per query.
const BATCH: u32 = 100;
/// Orders or documents that one call looks through when it has found some; beyond that it says that there is more. The database leaves
/// out most that cannot match, so few are looked through in vain.
const SCAN_MAX: usize = 5_000;
/// The same while it has found none: nobody can go on behind an empty page.
const SCAN_EMPTY_MAX: usize = 20_000;
/// How far apart the moment in an object and that of its record or event may be: they are taken one after the other.
const APART_S: i64 = 60;

/// Which part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) limit: usize,
    after: Option<String>,
    before: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Page {
    pub(super) fn of(given: &Given) -> Result<Self, Wrong> {
        let limit = given.integer("limit").unwrap_or(LIMIT);
        if limit > LIMIT_MAX {
            let message = format!("This value must be less than or equal to {LIMIT_MAX}.");
            return Err(Wrong::invalid(message).code("parameter_invalid_integer").at("limit"));
        }
        let (after, before) = (given.owned("starting_after"), given.owned("ending_before"));
        if after.is_some() && before.is_some() {
            let message = "You may only specify one of these parameters: starting_after, ending_before.";
            return Err(Wrong::invalid(message).at("starting_after"));
        }
        let (from, to) = given.range("created");
        Ok(Self {
            limit: usize::try_from(limit).unwrap_or(1),
            after,
            before,
            from,
            to,
        })
    }

    /// The object that the page goes on behind.
    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// The object that the page ends before.
    pub(super) fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// Goes on behind an object.
    pub(super) fn go_on(&mut self, after: Option<String>) {
        self.after = after;
    }

    /// Whether an object was made in the time that was asked for.
    pub(super) fn holds(&self, object: &Value) -> bool {
        let created = object.get("created").and_then(Value::as_i64);
        created.is_none_or(|created| {
            self.from.is_none_or(|from| created >= from.seconds()) && self.to.is_none_or(|to| created < to.seconds())
        })
    }
}

/// Collects one page out of objects that come newest first.
pub(super) struct Collect<'a> {
    page: &'a Page,
    /// With how many bytes each has.
    found: VecDeque<(Value, usize)>,
    bytes: usize,
    /// `starting_after` was met, or was not asked for.
    begun: bool,
    /// Something was left out at the end that is looked for.
    more: bool,
    /// Nothing more is needed.
    full: bool,
}

impl<'a> Collect<'a> {
    pub(super) fn new(page: &'a Page) -> Self {
        Self {
            page,
            found: VecDeque::new(),
            bytes: 0,
            begun: page.after.is_none(),
            more: false,
            full: false,
        }
    }

    /// Whether nothing more is needed.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Whether nothing was found yet.
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// There may be more than was looked at.
    pub(super) fn cut_short(&mut self) {
        self.more = true;
    }

    /// Nothing that comes now is on the page: the place of `ending_before` was reached.
    fn end(&mut self) {
        self.full = true;
    }

    /// The place of `starting_after` is behind us, even if its object is no longer one of those that are looked for.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    /// Moves to the place of an object, and says whether it is on the page if it is one of those that are looked for. The ends of a page
    /// are places, so an object that the filters leave out is one as well.
    pub(super) fn reaches(&mut self, id: &str) -> bool {
        if self.full || self.page.before.as_deref() == Some(id) {
            self.full = true;
            return false;
        }
        if !self.begun {
            self.begun = self.page.after.as_deref() == Some(id);
            return false;
        }
        true
    }

    pub(super) fn take(&mut self, object: Value) {
        if self.reaches(id_of(&object)) {
            self.add(object);
        }
    }

    /// Adds an object whose place was reached.
    pub(super) fn add(&mut self, object: Value) {
        if !self.page.holds(&object) {
            return;
        }
        let bytes = written(&object);
        self.found.push_back((object, bytes));
        self.bytes += bytes;
        while self.found.len() > self.page.limit || self.bytes > PAGE_BYTES_MAX && self.found.len() > 1 {
            self.more = true;
            let left_out = if self.page.before.is_some() {
                self.found.pop_front() // the nearest ones to `ending_before` are wanted
            } else {
                self.full = true;
                self.found.pop_back()
            };
            self.bytes -= left_out.map_or(0, |(_, bytes)| bytes);
        }
    }

    pub(super) fn done(self) -> (Vec<Value>, bool) {
        (self.found.into_iter().map(|(object, _)| object).collect(), self.more)
    }
}

fn id_of(object: &Value) -> &str {
    object.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a search that has looked through so many goes on. Backwards, a page is known only when the search has come down to its end.
fn goes_on(collect: &mut Collect<'_>, scanned: usize) -> Result<bool, Wrong> {
    if scanned < SCAN_MAX {
        return Ok(true);
    }
    if collect.page.before.is_some() {
        let message = format!(
            "The object of `ending_before` is more than {SCAN_MAX} objects back: narrow the list with `created`, or page with \
             `starting_after`."
        );
        return Err(Wrong::invalid(message).at("ending_before"));
    }
    if !collect.found.is_empty() {
        collect.cut_short();
        return Ok(false);
    }
    if scanned < SCAN_EMPTY_MAX {
        return Ok(true);
    }
    let message = format!(
        "None of the next {SCAN_EMPTY_MAX} objects is one that you look for. Narrow it down: a list by `created`, `customer` or \
         `payment_intent`, a search by `status`, `customer` or `metadata`."
    );
    Err(Wrong::invalid(message))
}

/// For lists without filters of their own.
pub(super) fn every(_: &Value) -> bool {
    true
}

/// Which orders are looked through: all of this holds. The database leaves out the others, so what an object needs of its order belongs
/// here and not only among what is `wanted` of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    /// Only this one.
    pub(super) only: Option<OrderId>,
    pub(super) customer: Option<String>,
    pub(super) metadata: Vec<(String, String)>,
    /// What they have.
    pub(super) having: Marks,
    /// One of these words is theirs; empty: any.
    pub(super) words: &'static [Word],
}

impl Orders {
    /// Whether an order's customer and metadata are those that are looked for. Lists keep a short sum of metadata, and may be behind.
    fn hold(&self, view: &View) -> bool {
        let customer = || view.details.customer.map(|customer| customer.to_string());
        let metadata = &view.details.metadata;
        (self.customer.is_none() || self.customer == customer())
            && (self.metadata.iter()).all(|(name, value)| metadata.get(name) == Some(value))
    }
}

/// One page of what orders have: of `objects`, newest first, those that are `wanted`.
pub(super) async fn of_orders(
    reader: &Reader<'_>,
    page: &Page,
    orders: Orders,
    order_of: impl Fn(&str) -> Option<OrderId>,
    objects: impl Fn(&Seen<'_>, Scene<'_>) -> Vec<Value>,
    wanted: impl Fn(&Value) -> bool,
) -> Result<(Vec<Value>, bool), Wrong> {
    let after = known(reader, "starting_after", page.after(), &order_of).await?;
    let before = known(reader, "ending_before", page.before(), &order_of).await?;
    let mut collect = Collect::new(page);
    if let Some(only) = orders.only {
        if let Some(view) = reader.view(only).await?.filter(|view| orders.hold(view)) {
            tell(reader, &view, &mut collect, &objects, &wanted).await?;
        }
        return Ok(collect.done());
    }
    reader.freshen().await;
    let mut words: Vec<String> = orders.words.iter().map(|word| word.as_str().to_owned()).collect();
    // One word alone has an index.
    let status = if words.len() == 1 { words.pop() } else { None };
    let mut search = Search {
        customer: orders.customer.clone(),
        metadata: orders.metadata.clone(),
        marks: orders.having,
        status,
        words,
        // An object is not older than its order, nor younger than what happened to it last.
        to: page.to,
        changed_from: page.from.map(|from| from.plus_seconds(-APART_S)),
        after: after.as_ref().map(|view| view.order.id),
        ..Search::of(reader.tenant, BATCH)
    };
    // The order of `starting_after` may have more behind it.
    if let Some(first) = &after {
        if orders.hold(first) {
            tell(reader, first, &mut collect, &objects, &wanted).await?;
        }
        collect.begin();
    }
    let end = before.as_ref().map(|view| (view.order.created_at, &view.order.id));
    let mut scanned = 0;
    while !collect.full {
        let found = reader.door.doors.store.search(&search).await?;
        for order in &found {
            let Some(view) = reader.listed(*order).await? else {
                continue;
            };
            if end.is_some_and(|end| (view.order.created_at, order) < end) {
                collect.end();
            } else if orders.hold(&view) {
                tell(reader, &view, &mut collect, &objects, &wanted).await?;
            }
            if collect.full {
                break;
            }
        }
        scanned += found.len();
        search.after = found.last().copied();
        if collect.full || found.len() < BATCH as usize || !goes_on(&mut collect, scanned)? {
            break;
        }
    }
    Ok(collect.done())
}

/// The order of an object that a page begins or ends at.
async fn known(
    reader: &Reader<'_>,
    param: &str,
    id: Option<&str>,
    order_of: &impl Fn(&str) -> Option<OrderId>,
) -> Result<Option<Arc<View>>, Wrong> {
    let Some(id) = id else { return Ok(None) };
    let missing = || Wrong::missing_at(param, "object", id);
    let order = order_of(id).ok_or_else(missing)?;
    reader.view(order).await?.ok_or_else(missing).map(Some)
}

async fn tell(
    reader: &Reader<'_>,
    view: &View,
    collect: &mut Collect<'_>,
    objects: &impl Fn(&Seen<'_>, Scene<'_>) -> Vec<Value>,
    wanted: &impl Fn(&Value) -> bool,
) -> Result<(), Wrong> {
    let seen = reader.seen(view).await?;
    for object in objects(&seen, reader.scene()) {
        if collect.reaches(id_of(&object)) && wanted(&object) {
            collect.add(object);
        }
    }
    Ok(())
}

/// Which documents are looked through.
#[derive(Clone, Debug, Default)]
pub(super) struct Documents<'a> {
    /// Only those that belong to this.
    parent: Option<&'a str>,
    /// What the database looks for in their text; the caller still looks at the document.
    containing: Vec<Vec<String>>,
}

impl<'a> From<Option<&'a str>> for Documents<'a> {
    fn from(parent: Option<&'a str>) -> Self {
        Self {
            parent,
            containing: Vec::new(),
        }
    }
}

impl Documents<'_> {
    /// Only those whose member is one of these values, as documents are written down. No value: any.
    pub(super) fn with<T: Serialize>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        let written = |value: T| serde_json::to_string(&value).map(|value| format!("\"{name}\":{value}"));
        // What cannot be written down stands in no document's text: then nothing is left out here.
        if let Ok(pieces) = values.into_iter().map(written).collect() {
            self.containing.push(pieces);
        }
        self
    }
}

/// One page of documents.
pub(super) async fn of_documents<'d, D: Document>(
    reader: &Reader<'_>,
    page: &Page,
    documents: impl Into<Documents<'d>>,
    id_of: impl Fn(&str) -> Option<String>,
    shape: impl Fn(&D) -> Option<Value>,
) -> Result<(Vec<Value>, bool), Wrong> {
    let after = kept::<D>(reader, "starting_after", page.after(), &id_of).await?;
    let before = kept::<D>(reader, "ending_before", page.before(), &id_of).await?;
    let mut collect = Collect::new(page);
    collect.begin(); // the database begins behind it
    let documents = documents.into();
    let mut list = ListRecords {
        parent: documents.parent.map(str::to_owned),
        containing: documents.containing,
        from: page.from.map(|from| from.plus_seconds(-APART_S)),
        to: page.to.map(|to| to.plus_seconds(APART_S)),
        after: after.map(|record| record.id),
        ..ListRecords::of(D::KIND, Some(reader.tenant), BATCH)
    };
    let end = before.as_ref().map(|record| (record.created_at, record.id.as_str()));
    let mut scanned = 0;
    while !collect.full {
        let records = reader.door.doors.store.list(&list).await?;
        for record in &records {
            if end.is_some_and(|end| (record.created_at, record.id.as_str()) <= end) {
                collect.end();
                break;
            }
            let document: D = serde_json::from_str(&record.body).map_err(|error| {
                tracing::error!(%error, kind = D::KIND, "a document does not read");
                Wrong::ours()
            })?;
            if let Some(object) = shape(&document) {
                collect.take(object);
            }
        }
        scanned += records.len();
        list.after = records.last().map(|record| record.id.clone());
        if collect.full || records.len() < BATCH as usize || !goes_on(&mut collect, scanned)? {
            break;
        }
    }
    Ok(collect.done())
}

/// The document that a page begins or ends at, even if it was removed since.
async fn kept<D: Document>(
    reader: &Reader<'_>,
    param: &str,
    id: Option<&str>,
    id_of: &impl Fn(&str) -> Option<String>,
) -> Result<Option<Record>, Wrong> {
    let Some(id) = id else { return Ok(None) };
    let record = match id_of(id) {
        Some(own) => reader.record::<D>(&own).await?,
        None => None,
    };
    record.ok_or_else(|| Wrong::missing_at(param, "object", id)).map(Some)
}

/// One page of what is already in memory, newest first.
pub(super) fn of_all(page: &Page, objects: impl IntoIterator<Item = Value>) -> Result<(Vec<Value>, bool), Wrong> {
    let objects: Vec<Value> = objects.into_iter().collect();
    for (param, id) in [("starting_after", page.after()), ("ending_before", page.before())] {
        if let Some(id) = id.filter(|id| objects.iter().all(|object| id_of(object) != *id)) {
            return Err(Wrong::missing_at(param, "object", id));
        }
    }
    let mut collect = Collect::new(page);
    for object in objects {
        collect.take(object);
    }
    Ok(collect.done())
}

/// Whose events: of one tenant.
pub(super) fn feed(tenant: Tenant, page: &Page) -> florin_store::FeedSearch {
    florin_store::FeedSearch {
        tenant,
        money: false,
        from: page.from,
        to: page.to,
        after: None,
        oldest_first: false,
        limit: BATCH,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(form: &str) -> Page {
        use super::super::params::{Kind, LIST, may, read};
        const CREATED: &[super::super::params::Field] = &[may("created", Kind::Range)];
        Page::of(&read(super::super::form::parse(form.as_bytes()).unwrap(), &[LIST, CREATED]).unwrap()).unwrap()
    }

    fn listed(form: &str) -> (Vec<i64>, bool) {
        let all = (1..=5)
            .rev()
            .map(|number| json!({ "id": format!("x{number}"), "created": number }));
        let (found, more) = of_all(&page(form), all).unwrap();
        (found.iter().filter_map(|one| one["created"].as_i64()).collect(), more)
    }

    #[test]
    fn lists_page_forwards_and_backwards_without_gaps() {
        assert_eq!(listed("limit=2"), (vec![5, 4], true));
        assert_eq!(listed("limit=2&starting_after=x4"), (vec![3, 2], true));
        assert_eq!(listed("limit=2&starting_after=x2"), (vec![1], false));
        assert_eq!(listed("limit=2&ending_before=x3"), (vec![5, 4], false));
        assert_eq!(listed("limit=2&ending_before=x1"), (vec![3, 2], true));
        assert_eq!(listed("limit=5"), (vec![5, 4, 3, 2, 1], false));
        assert_eq!(listed("created[gte]=2&created[lt]=4"), (vec![3, 2], false));
    }

    #[test]
    fn a_page_behind_an_object_that_nobody_knows_is_refused() {
        for (form, param) in [
            ("starting_after=y", "starting_after"),
            ("ending_before=y", "ending_before"),
        ] {
            let wrong = of_all(&page(form), [json!({ "id": "x" })]).unwrap_err();
            assert_eq!((wrong.status, wrong.param.as_deref()), (400, Some(param)));
        }
    }

    #[test]
    fn an_empty_page_goes_on_and_is_never_called_the_first_of_more() {
        let forwards = page("limit=1");
        let mut collect = Collect::new(&forwards);
        assert!(goes_on(&mut collect, SCAN_EMPTY_MAX - 1).unwrap());
        assert_eq!(goes_on(&mut collect, SCAN_EMPTY_MAX).unwrap_err().status, 400);
        collect.take(json!({ "id": "x" }));
        assert!(goes_on(&mut collect, SCAN_MAX - 1).unwrap() && !goes_on(&mut collect, SCAN_MAX).unwrap());
        assert_eq!(collect.done(), (vec![json!({ "id": "x" })], true));
        let backwards = page("ending_before=x");
        let wrong = goes_on(&mut Collect::new(&backwards), SCAN_MAX).unwrap_err();
        assert_eq!(wrong.param.as_deref(), Some("ending_before"));
    }

    #[test]
    fn a_page_has_one_end_and_at_most_a_hundred_objects() {
        use super::super::params::{LIST, read};
        for form in ["limit=101", "limit=0", "starting_after=a&ending_before=b"] {
            let given = super::super::form::parse(form.as_bytes()).and_then(|form| read(form, &[LIST]));
            assert!(given.and_then(|given| Page::of(&given)).is_err(), "{form}");
        }
    }
}
