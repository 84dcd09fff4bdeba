//! What every store keeps, asked of all three: memory, SQLite and PostgreSQL. Each test is one promise; it runs once a database.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod claims;
mod deliveries;
mod feed;
mod fold;
mod lane;
mod lists;
mod operation;
mod place;
mod records;
mod simulated;
mod sql;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod tls;

pub(crate) use support::rows;

macro_rules! contract {
    ($($database:ident $kind:ident),* => $groups:tt) => {
        $(contract!(@one $database $kind $groups);)*
    };
    (@one $database:ident $kind:ident { $($group:ident: $($name:ident)*;)* }) => {
        mod $database {
            $(mod $group { $(
                #[test]
                fn $name() {
                    crate::place::run(crate::place::Kind::$kind, |place| Box::pin(crate::$group::$name(place)));
                }
            )* })*
        }
    };
}

contract! { memory Memory, sqlite Sqlite, postgres Postgres => {
    lane:
        a_committed_batch_is_read_back_as_it_was_written
        a_batch_is_written_whole_or_not_at_all
        a_taken_id_reference_or_key_is_a_conflict
        names_are_taken_per_tenant
        the_same_name_twice_in_one_batch_is_a_conflict
        a_moved_version_is_a_conflict
        a_raised_fence_is_a_conflict
        a_key_of_a_later_call_is_taken_once
        was_committed_knows_this_very_batch
        an_order_is_found_by_id_key_and_reference_once
        details_are_all_event_rows_of_an_order
        one_key_is_one_call_whichever_kind_it_is
        a_lease_that_somebody_else_holds_is_left_as_it_is
        a_lease_is_counted_by_the_clock_of_the_database
        a_notice_is_kept_once_and_done_once
        a_notice_can_be_put_off
        two_writers_on_one_order_leave_one_winner
        ten_thousand_hot_rows_move_in_large_batches
        what_was_answered_is_there_after_opening_again
        odd_texts_come_back_as_they_were;
    claims:
        due_orders_are_taken_once_oldest_first
        a_claim_raises_the_fence_so_that_the_old_owner_is_refused
        a_lease_that_is_over_is_taken_by_another_node
        a_node_takes_its_own_rows_at_once_after_a_crash_and_only_once
        an_order_that_is_not_due_is_left_alone;
    stream:
        events_come_in_order_and_page
        heads_are_the_rows_without_what_they_say
        an_order_has_its_events_by_version
        readers_miss_nothing_while_commits_overtake_each_other
        orders_are_walked_by_id
        what_is_open_is_walked_by_the_moment_at_which_it_is_due;
    fold:
        only_one_of_two_readers_at_one_place_writes
        balances_add_up_beyond_64_bits
        only_the_books_fold_balances
        a_reference_of_a_provider_finds_its_order_and_keeps_it
        folding_a_listing_again_replaces_it
        a_turn_that_was_folded_before_is_folded_over_what_is_there
        what_an_order_has_stays_in_its_listing
        an_older_listing_does_not_replace_a_newer_one
        a_long_turn_is_written_whole_between_commits;
    feed:
        a_tenant_pages_its_event_rows_both_ways;
    lists:
        every_filter_finds_what_it_says
        lists_page_newest_first_without_gaps
        a_reference_is_found_before_any_reader_saw_the_order
        no_list_shows_another_tenant;
    deliveries:
        a_delivery_is_taken_by_one_node_and_written_back
        an_orders_deliveries_to_an_endpoint_are_taken_by_one_node_at_a_time
        two_nodes_that_look_at_once_do_not_share_an_orders_deliveries
        deliveries_are_found_by_every_filter
        deliveries_page_newest_first
        a_delivery_of_another_tenant_does_not_exist;
    records:
        a_document_comes_back_by_id_and_alias
        a_document_moves_one_version_at_a_time
        an_alias_is_taken_once_within_its_kind
        documents_and_keys_are_written_together_or_not_at_all
        documents_are_listed_newest_first_without_removed_ones
        a_list_leaves_out_bodies_without_the_wanted_text
        a_document_of_another_tenant_does_not_exist;
    operation:
        tidying_removes_what_is_past_its_retention_and_nothing_else
        the_backlog_says_what_waits_and_since_when
        migrating_again_changes_nothing
        an_empty_store_answers_everything_with_nothing;
} }

contract! { on_sqlite Sqlite, on_postgres Postgres => {
    sql:
        a_database_from_the_future_is_served
        a_history_that_is_not_ours_is_refused;
} }

contract! { not_in_memory Memory, not_on_postgres Postgres => {
    sql:
        other_databases_name_their_own_tools_for_backups;
} }
