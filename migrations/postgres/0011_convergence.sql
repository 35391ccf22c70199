-- Convergence: why a stack does not run what it should and since when, what went live in which order, and the queue that
-- brings stacks there.

alter table stacks add column left_out text;
alter table stacks add column left_code text;
alter table stacks add column behind_since bigint;
update stacks set behind_since = changed_at
 where status = 'failed' or status = 'live'
   and (down is not null or actual is null or desired is null or actual <> desired
        or exists (select 1 from drifts d where d.stack = stacks.id and d.state = 'drifted'));

create table lives (
    n bigint primary key,
    version text not null,
    at bigint not null
);
insert into lives (n, version, at)
 select 1, r.version, coalesce((select max(p.ended_at) from processes p where p.kind = 'rollout' and p.status = 'succeeded'),
                               r.registered_at)
 from releases r join settings s on s.key = 'live_release' and s.value = r.id;

-- A stack on its way through the queue; without a row it was never tried, and nobody asked for it.
create table catchups (
    stack text primary key references stacks (id),
    aim text,
    tries bigint not null default 0,
    next_at bigint not null default 0,
    batch bigint,
    process text,
    asked_at bigint,
    asked_by text
);
create index catchups_batch on catchups (batch) where batch is not null;

create table catchup_batches (
    n bigint primary key,
    state text not null,
    reason text,
    stacks bigint not null,
    failed bigint not null,
    started_at bigint not null,
    ended_at bigint
);

-- What one server at a time looks after.
create table duties (
    name text primary key,
    lease_owner text not null,
    lease_until bigint not null
);
