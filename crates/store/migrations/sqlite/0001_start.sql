-- What a sale costs on SQLite is the number of pages it dirties, so: rowid tables for anything but small rows (new rows go to the
-- end), as few indexes as possible, tenants as small numbers inside them, big columns last. Money and JSON are text.

create table tenants (
  number integer primary key,
  merchant blob not null,
  mode integer not null,             -- 0 test, 1 live
  unique (merchant, mode)
) strict;

-- An order: snapshot, and what lanes check. `due` is null when nothing is open.
create table orders (
  number integer primary key,
  id blob not null unique,           -- UUIDv7: goes to the end of the index too
  tenant integer not null,
  reference text not null,
  idem_key text,
  idem_hash blob,
  version integer not null,
  fence integer not null,
  due integer,
  lease_node blob,
  lease_until integer,
  created_at integer not null,
  chain blob not null,
  work text,
  state text not null
) strict;
create index orders_due on orders (due) where due is not null;

-- One commit's events of one order. Rows are never changed and never removed, so `seq` only grows.
create table events (
  seq integer primary key,
  order_id blob not null,
  version integer not null,
  tenant integer not null,
  count integer not null,
  time integer not null,
  hash blob not null,
  news text,
  postings text,
  body text not null
) strict;
create unique index events_order on events (order_id, version);

-- Names of orders (references, and the keys of the calls that made them) are unique without an index: an index would dirty a page for
-- each, and that is half of what a sale writes. They lie in sorted runs of fingerprints; those of the newest orders are in memory and
-- are read from `orders` after a start (`sqlite/names.rs`).
create table name_state (
  generation integer not null,       -- counts changes of the runs
  sealed integer not null,           -- orders up to this number have their names in runs
  last_run integer not null          -- no run is ever named like an earlier one
) strict;
insert into name_state (generation, sealed, last_run) values (0, 0, 0);
create table name_runs (
  id integer primary key,
  level integer not null,
  live integer not null              -- 0: being written
) strict;
create table name_parts (
  id integer primary key,            -- run, part
  firsts blob not null,
  filter blob not null
) strict;
create table name_chunks (
  id integer primary key,            -- run, part, chunk
  entries blob not null
) strict;

-- Idempotency keys of later calls: one name space with those that made orders.
create table keys (
  tenant integer not null,
  key text not null,
  created_at integer not null,
  hash blob not null,
  made text not null,
  primary key (tenant, key)
) strict, without rowid;
create index keys_age on keys (created_at);

-- Notices of providers.
create table inbox (
  number integer primary key,
  connection blob not null,
  id text not null,
  tenant integer not null,
  received_at integer not null,
  due integer not null,
  done integer not null default 0,
  item text not null,
  unique (connection, id)
) strict;
create index inbox_open on inbox (due) where done = 0;
create index inbox_done on inbox (received_at) where done = 1;

-- Behind the commit: what readers fold from the events and can fold again.
create table cursors (
  reader text primary key,
  txn integer not null,
  row integer not null
) strict, without rowid;

-- `terms`: eight bytes for each pair of metadata (`terms.rs`). Most orders come to `captured`, which needs no index to be found.
create table listings (
  tenant integer not null,
  created_at integer not null,
  order_id blob not null,
  version integer not null,
  attention integer not null,
  status text not null,
  customer text,
  terms blob,
  primary key (tenant, created_at, order_id)
) strict, without rowid;
create index listings_status on listings (tenant, status, created_at, order_id) where status <> 'captured';
create index listings_customer on listings (tenant, customer, created_at, order_id) where customer is not null;
create index listings_attention on listings (tenant, created_at, order_id) where attention = 1;

-- A tenant's event rows in the order of the stream: what lists of events and of ledger entries page through. Written behind the commit,
-- because an index by tenant on `events` would dirty one more page a sale.
create table feed (
  tenant integer not null,
  seq integer not null,
  time integer not null,
  money integer not null,            -- 1: the row has postings
  primary key (tenant, seq)
) strict, without rowid;

create table refs (
  connection blob not null,
  kind text not null,
  id text not null,
  order_id blob not null,
  primary key (connection, kind, id)
) strict, without rowid;

-- Sums leave 64 bits, so they are decimal text.
create table balances (
  tenant integer not null,
  connection blob not null,
  account text not null,
  currency text not null,
  posted text not null,
  pending text not null,
  primary key (tenant, connection, account, currency)
) strict, without rowid;

-- One event on its way to one endpoint. `due` is null when it is over.
create table deliveries (
  number integer primary key,
  id blob not null unique,
  tenant integer not null,
  endpoint blob not null,
  order_id blob not null,
  status integer not null,           -- 0 pending, 1 succeeded, 2 failed
  due integer,
  lease_node blob,
  lease_until integer,
  created_at integer not null,
  event text not null,
  name text not null,
  tries text not null
) strict;
create index deliveries_due on deliveries (due) where due is not null;
create index deliveries_over on deliveries (created_at) where due is null;
create index deliveries_tenant on deliveries (tenant, created_at, id);
create index deliveries_endpoint on deliveries (endpoint, created_at, id);
create index deliveries_order on deliveries (order_id, created_at, id);
create index deliveries_unsent on deliveries (tenant, status, created_at, id) where status <> 1;

-- Small documents: merchants, API keys, connections, customers, methods, endpoints, products.
create table records (
  number integer primary key,
  kind text not null,
  id text not null,
  tenant integer,
  alias text,
  parent text,
  version integer not null,
  created_at integer not null,
  removed integer not null,
  body text not null,
  unique (kind, id)
) strict;
create unique index records_alias on records (kind, alias) where alias is not null;
create index records_list on records (kind, created_at, id) where removed = 0;
create index records_tenant on records (kind, tenant, created_at, id) where removed = 0 and tenant is not null;
create index records_parent on records (kind, parent, created_at, id) where removed = 0 and parent is not null;
