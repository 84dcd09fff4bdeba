-- A tenant's event rows, in the order of the stream: what lists of events and of ledger entries page through. Written behind the commit,
-- because an index by tenant on `events` would dirty one more page a sale.
create table feed (
  tenant integer not null,
  seq integer not null,
  time integer not null,
  money integer not null,            -- 1: the row has postings
  primary key (tenant, seq)
) strict, without rowid;
