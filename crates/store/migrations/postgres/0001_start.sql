-- The same tables as on SQLite. What a sale costs here is WAL and index entries: text and not jsonb, no foreign keys, tenants as small
-- numbers, as few indexes as possible. Rows of a sale fit a page and are never compressed (toast_tuple_target).

create table tenants (
  number integer generated always as identity primary key,
  merchant uuid not null,
  mode smallint not null,            -- 0 test, 1 live
  unique (merchant, mode)
);

-- An order: snapshot, and what lanes check. `due` is null when nothing is open.
create table orders (
  id uuid primary key,
  tenant integer not null,
  version integer not null,
  fence integer not null,
  due bigint,
  lease_until bigint,
  created_at bigint not null,
  lease_node uuid,
  reference text not null,
  idem_key text,
  idem_hash bytea,
  chain bytea not null,
  work text,
  state text not null
) with (toast_tuple_target = 8160);
create unique index orders_reference on orders (tenant, reference);
create index orders_due on orders (due) where due is not null;

-- One commit's events of one order. `txn` is the writing transaction, so that readers can stay behind those that still run; it is
-- counted from `stream.base`, because a dump that is restored elsewhere meets transaction numbers that begin again.
create table events (
  txn bigint not null,
  seq bigint generated always as identity,
  order_id uuid not null,
  version integer not null,
  tenant integer not null,
  count integer not null,
  time bigint not null,
  hash bytea not null,
  news text,
  postings text,
  body text not null,
  primary key (txn, seq)
) with (toast_tuple_target = 8160);
create unique index events_order on events (order_id, version);

create table stream (
  base bigint not null
);
insert into stream (base) values (0);

-- Idempotency keys, one name space for all calls of a tenant. The call that made an order: its hash is in the order's row, and the key
-- is kept as long as the order. Later calls: `made` says what they did, and they are tidied by age.
create table keys (
  tenant integer not null,
  created_at bigint not null,
  order_id uuid,
  key text not null,
  hash bytea,
  made text,
  primary key (tenant, key)
);
create index keys_age on keys (created_at) where order_id is null;

-- Notices of providers.
create table inbox (
  connection uuid not null,
  tenant integer not null,
  received_at bigint not null,
  due bigint not null,
  done smallint not null default 0,
  number bigint generated always as identity,
  id text not null,
  item text not null,
  primary key (connection, id)
);
create index inbox_open on inbox (due, number) where done = 0;
create index inbox_done on inbox (received_at) where done = 1;

-- Behind the commit: what readers fold from the events and can fold again.
create table cursors (
  reader text primary key,
  txn bigint not null,
  seq bigint not null
);

-- `terms`: eight bytes for each pair of metadata (`terms.rs`). Most orders come to `captured`, which needs no index to be found.
create table listings (
  tenant integer not null,
  created_at bigint not null,
  order_id uuid not null,
  version integer not null,
  attention smallint not null,
  status text not null,
  customer text,
  terms bytea,
  primary key (tenant, created_at, order_id)
);
create index listings_status on listings (tenant, status, created_at, order_id) where status <> 'captured';
create index listings_customer on listings (tenant, customer, created_at, order_id) where customer is not null;
create index listings_attention on listings (tenant, created_at, order_id) where attention = 1;

-- A tenant's event rows in the order of the stream: what lists of events and of ledger entries page through. Written behind the commit,
-- because an index by tenant on `events` is one more random page a sale.
create table feed (
  tenant integer not null,
  money smallint not null,           -- 1: the row has postings
  txn bigint not null,
  seq bigint not null,
  time bigint not null,
  primary key (tenant, txn, seq)
);

create table refs (
  connection uuid not null,
  order_id uuid not null,
  kind text not null,
  id text not null,
  primary key (connection, kind, id)
);

-- Sums leave 64 bits and stay inside 128.
create table balances (
  tenant integer not null,
  connection uuid not null,
  account text not null,
  currency text not null,
  posted numeric(39, 0) not null
    check (posted between -170141183460469231731687303715884105728 and 170141183460469231731687303715884105727),
  pending numeric(39, 0) not null
    check (pending between -170141183460469231731687303715884105728 and 170141183460469231731687303715884105727),
  primary key (tenant, connection, account, currency)
) with (fillfactor = 50);

-- One event on its way to one endpoint. `due` is null when it is over.
create table deliveries (
  id uuid primary key,
  tenant integer not null,
  status smallint not null,          -- 0 pending, 1 succeeded, 2 failed
  due bigint,
  lease_until bigint,
  created_at bigint not null,
  endpoint uuid not null,
  order_id uuid not null,
  lease_node uuid,
  event text not null,
  name text not null,
  tries text not null
);
create index deliveries_due on deliveries (due) where due is not null;
create index deliveries_over on deliveries (created_at) where due is null;
create index deliveries_tenant on deliveries (tenant, created_at, id);
create index deliveries_endpoint on deliveries (endpoint, created_at, id);
create index deliveries_order on deliveries (order_id, created_at, id);
create index deliveries_unsent on deliveries (tenant, status, created_at, id) where status <> 1;

-- Small documents: merchants, API keys, connections, customers, methods, endpoints, products.
create table records (
  kind text not null,
  id text not null,
  tenant integer,
  version integer not null,
  created_at bigint not null,
  removed smallint not null,
  alias text,
  parent text,
  body text not null,
  primary key (kind, id)
);
create unique index records_alias on records (kind, alias) where alias is not null;
create index records_list on records (kind, created_at, id) where removed = 0;
create index records_tenant on records (kind, tenant, created_at, id) where removed = 0 and tenant is not null;
create index records_parent on records (kind, parent, created_at, id) where removed = 0 and parent is not null;

-- Ends a transaction in which a bulk write met fewer rows than it named: somebody else was faster.
create function florin_expect(met bigint, named bigint) returns void language plpgsql as $$
begin
  if met <> named then
    raise exception 'florin: % of % rows were as they had been read', met, named using errcode = 'FL409';
  end if;
end
$$;
