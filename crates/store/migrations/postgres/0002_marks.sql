-- What an order has (`marks.rs`), and when something last happened to it: lists of charges, refunds and disputes leave the rest out.
-- A row that was written before may have anything, and nobody knows since when.
alter table listings add column marks smallint not null default 32767;
alter table listings add column changed_at bigint;
