//! What is in a commit, what is said before and after it, and what a repeated key finds.

use super::*;

#[test]
fn what_has_queued_is_one_commit_and_its_turns_are_another() {
    let mut bench = Bench::new();
    let sales: Vec<Token> = (0..3).map(|number| bench.sale(number)).collect();
    bench.run();
    assert_eq!(bench.needed(), ["commit"], "new orders are read nowhere");
    assert_eq!(bench.effects.len(), 3, "handed over when it was durable");
    assert!(bench.replies.is_empty(), "nobody is told before the step is over");
    let turns: Vec<Turned> = (0..3).map(|_| bench.hear(Some("taken"))).collect();
    for turned in turns {
        bench.lane.push(Job::Turn(Box::new(turned)));
    }
    bench.run();
    assert_eq!(bench.needed(), ["commit"], "what is remembered is not read");
    assert!(sales.iter().all(|token| bench.word(*token) == "captured"));
    let row = bench.stored(0);
    assert_eq!((row.version, &row.work, row.due, row.lease), (3, &None, None, None));
}

#[test]
fn what_comes_during_a_commit_is_in_the_next_one() {
    let mut bench = Bench::new();
    bench.sale(1);
    let need = bench.lane.next(T);
    let Need::Commit(first) = need else { panic!("{need:?}") };
    bench.sale(2);
    bench.sale(3);
    assert!(matches!(bench.lane.next(T), Need::Nothing), "one at a time");
    let outcome = at_once(bench.store.commit(&first));
    let Need::Commit(second) = bench.lane.committed(outcome, T) else {
        panic!("there is more to do")
    };
    assert_eq!((first.new.len(), second.new.len()), (1, 2));
}

#[test]
fn nothing_is_answered_or_sent_before_it_is_durable() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.sale(2);
    let Need::Commit(_) = bench.lane.next(T) else {
        panic!("a commit")
    };
    bench.take();
    assert!(bench.replies.is_empty() && bench.effects.is_empty());
}

#[test]
fn a_lease_and_the_message_are_in_the_commit_that_starts_the_step() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    let row = bench.stored(1);
    assert_eq!(row.version, 2, "made and started");
    assert!(row.work.unwrap().contains("https://toy.test/"), "the very message");
    assert_eq!(row.lease.unwrap().node, node(1));
    assert_eq!(row.lease.unwrap().until, T.plus_seconds(LEASE_S));
}

#[test]
fn a_lost_answer_to_a_commit_is_looked_up_and_what_is_not_there_is_decided_again() {
    for (mishap, needed) in [
        (Mishap::LoseAnswer, &["commit", "was committed?"][..]),
        (Mishap::LoseCommit, &["commit", "was committed?", "load", "commit"]),
    ] {
        let mut bench = Bench::new();
        bench.store.next_fault(mishap);
        let sale = bench.sale(1);
        bench.run();
        assert_eq!(bench.needed(), needed, "{mishap:?}");
        assert_eq!(bench.effects.len(), 1, "{mishap:?}: sent once");
        bench.turn(Some("taken"));
        assert_eq!(bench.word(sale), "captured");
    }
}

#[test]
fn callers_are_told_that_the_database_rests_and_what_a_provider_said_is_kept() {
    let mut bench = Bench::new();
    bench.sale(1);
    bench.run();
    let turned = bench.hear(Some("taken"));
    for _ in 0..2 {
        bench.store.next_fault(Mishap::Refuse);
    }
    bench.lane.push(Job::Turn(Box::new(turned)));
    let other = bench.ask("k", create(2, CaptureAt::Once, None));
    bench.run();
    assert!(matches!(
        bench.replies[&other],
        Reply::Denied(Denied::Unavailable { .. })
    ));
    assert_eq!(
        bench.stored_word(1),
        "captured",
        "what was said is written when the database is back"
    );
}

#[test]
fn a_full_disk_and_a_broken_one_are_told_apart() {
    let mut bench = Bench::new();
    bench.store.next_fault(Mishap::Full);
    let full = bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    assert!(matches!(bench.replies[&full], Reply::Denied(Denied::Full)));
    let fits = bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.word(fits), "created");
}

#[test]
fn a_repeated_key_is_answered_from_what_is_there_and_costs_its_neighbours_nothing() {
    let mut bench = Bench::new();
    bench.ask("k", create(1, CaptureAt::Once, None));
    bench.run();
    bench.needed();
    let again = bench.ask("k", create(2, CaptureAt::Once, None));
    let neighbour = bench.ask("other", create(3, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.needed(), ["commit", "load", "commit"], "read again in one query");
    assert!(matches!(&bench.replies[&again], Reply::Rebuild(rebuild) if rebuild.order() == order(1)));
    assert_eq!(bench.word(neighbour), "created");
}

#[test]
fn one_key_twice_in_one_batch_makes_one_order() {
    let mut bench = Bench::new();
    let first = bench.ask("k", create(1, CaptureAt::Once, None));
    let second = bench.ask("k", create(2, CaptureAt::Once, None));
    bench.run();
    assert_eq!(bench.word(first), "created");
    assert!(matches!(&bench.replies[&second], Reply::Rebuild(rebuild) if rebuild.order() == order(1)));
}

#[test]
fn a_taken_reference_names_its_order_in_the_same_batch_and_later() {
    let mut bench = Bench::new();
    let same = |bench: &mut Bench, key: &str, id: u128| {
        let mut what = create(id, CaptureAt::Once, None);
        if let What::Create { order, .. } = &mut what {
            order.reference = "A-17".into();
        }
        bench.ask(key, what)
    };
    same(&mut bench, "first", 1);
    let second = same(&mut bench, "second", 2);
    bench.run();
    let third = same(&mut bench, "third", 3);
    bench.run();
    for token in [second, third] {
        assert!(
            matches!(bench.replies[&token], Reply::Denied(Denied::ReferenceTaken { order: taken }) if taken == order(1)),
            "{:?}",
            bench.replies[&token]
        );
    }
}
