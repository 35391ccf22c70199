-- When operations may start: freezes and maintenance windows, and holds of single stacks.

create table windows (
    id text primary key,
    name text not null,
    tenant text references tenants (id),
    spec text not null,
    saved_at bigint not null,
    saved_by text not null
);
create unique index windows_name on windows (name);
create unique index windows_tenant on windows (tenant) where tenant is not null;

-- A stack has one hold at a time. One that has ended stays on record.
create table holds (
    id text primary key,
    stack text not null references stacks (id),
    tenant text not null references tenants (id),
    spec text not null,
    made_at bigint not null,
    made_by text not null,
    until bigint not null,
    told_at bigint,
    ended_at bigint
);
create unique index holds_open on holds (stack) where ended_at is null;
create index holds_tenant on holds (tenant);
