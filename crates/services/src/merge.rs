//! Two callers change an order's details at once, each from what it read: what either of them changed stands.
//!
//! A change is the difference between the details that a caller read and those that it wants. It is applied to the details as they are
//! when the lane gets to it: member by member in tables, whole otherwise. Of two changes to one member the later one stands; a member is
//! taken away only if it still is what the caller saw.

use serde_json::{Map, Value};

use crate::view::Details;

/// The member in which a note that a door keeps names the call that wrote it. No metadata has a name like this.
pub const CALL: &str = "\u{1f}call";

/// `now` with the change from `was` to `wanted`.
pub(crate) fn merged(was: &Details, wanted: &Details, now: &Details) -> Details {
    if was == now {
        return wanted.clone();
    }
    let [was, wanted, mut merged] = [was, wanted, now].map(table);
    change(&was, &wanted, &mut merged);
    serde_json::from_value(Value::Object(merged)).expect("members of details, each as one of the three has it")
}

fn table(details: &Details) -> Map<String, Value> {
    match serde_json::to_value(details) {
        Ok(Value::Object(table)) => table,
        Ok(_) | Err(_) => Map::new(), // details are a table of plain data
    }
}

fn change(was: &Map<String, Value>, wanted: &Map<String, Value>, now: &mut Map<String, Value>) {
    for (name, value) in wanted {
        let before = was.get(name);
        if before == Some(value) {
            continue;
        }
        match (value, now.get_mut(name)) {
            // A table that two callers began at once holds what both wrote.
            (Value::Object(value), Some(Value::Object(now))) if is_one(value, now) => {
                let nothing = Map::new();
                change(before.and_then(Value::as_object).unwrap_or(&nothing), value, now);
            }
            // A place that the caller saw free, and that another call's note has taken: whoever comes second looks for another one.
            (Value::Object(value), Some(Value::Object(there))) if before.is_none() && !is_one(value, there) => {}
            (value, _) => drop(now.insert(name.clone(), value.clone())),
        }
    }
    for (name, before) in was.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        match (before, now.get_mut(name)) {
            (before, Some(there)) if there == before => drop(now.remove(name)),
            // A table that was emptied loses what the caller saw in it.
            (Value::Object(before), Some(Value::Object(there))) if is_one(before, there) => {
                change(before, &Map::new(), there);
            }
            (_, Some(_) | None) => {}
        }
    }
}

/// Whether two tables in one place are about one thing: a note names the call that wrote it.
fn is_one(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    one.get(CALL) == other.get(CALL)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn details(metadata: &[(&str, &str)], door: Value) -> Details {
        let text = |text: &str| text.to_owned();
        Details {
            metadata: metadata.iter().map(|(name, value)| (text(name), text(value))).collect(),
            door: [("stripe".to_owned(), door)].into(),
            ..Details::default()
        }
    }

    #[test]
    fn what_two_callers_changed_at_once_both_stands() {
        let was = details(&[("a", "1"), ("b", "1")], json!({ "refunds": { "0": "x" } }));
        let one = details(
            &[("a", "2"), ("b", "1"), ("c", "1")],
            json!({ "refunds": { "0": "x", "1": "y" } }),
        );
        let other = details(
            &[("a", "1")],
            json!({ "refunds": { "0": "x", "2": "z" }, "note": true }),
        );
        let both = details(
            &[("a", "2"), ("c", "1")],
            json!({ "refunds": { "0": "x", "1": "y", "2": "z" }, "note": true }),
        );
        assert_eq!(merged(&was, &other, &one), both);
        assert_eq!(merged(&was, &one, &other), both);
    }

    #[test]
    fn what_somebody_else_put_in_a_place_is_not_taken_away() {
        let was = details(&[("a", "mine")], json!({}));
        let without = details(&[], json!({}));
        let theirs = details(&[("a", "theirs")], json!({}));
        assert_eq!(merged(&was, &without, &theirs), theirs);
        assert_eq!(merged(&was, &without, &was), without);
    }

    #[test]
    fn notes_of_two_calls_in_one_place_are_not_poured_together() {
        let note = |call: &str, reason: &str| details(&[], json!({ "0": { CALL: call, "reason": reason } }));
        let nothing = details(&[], json!({}));
        let (one, other) = (note("a", "why"), note("b", "other"));
        assert_eq!(merged(&nothing, &other, &one), one, "the place is taken");
        let later = note("a", "later");
        assert_eq!(
            merged(&one, &other, &later),
            other,
            "who saw what is there may replace it"
        );
        assert_eq!(merged(&other, &nothing, &one), one, "and nobody else takes it away");
        assert_eq!(merged(&one, &nothing, &one), nothing);
    }

    #[test]
    fn the_first_of_a_table_that_two_began_is_kept() {
        let was = details(&[], json!({}));
        let (one, other) = (details(&[("a", "1")], json!({})), details(&[("b", "1")], json!({})));
        assert_eq!(
            merged(&was, &other, &one),
            details(&[("a", "1"), ("b", "1")], json!({}))
        );
    }

    #[test]
    fn of_two_changes_to_one_member_the_later_stands() {
        let was = Details::default();
        let says = |text: &str| Details {
            description: Some(text.to_owned()),
            ..Details::default()
        };
        assert_eq!(merged(&was, &says("later"), &says("sooner")), says("later"));
        let nothing_new = merged(&was, &was, &says("sooner"));
        assert_eq!(nothing_new, says("sooner"));
    }
}
