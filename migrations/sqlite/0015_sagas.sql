-- Tenants on their way from one tier to another, and what hooks said.

-- What a stack is to a tenant: serving, next, or former.
alter table tenant_stacks add column part text not null default 'serving';

-- Each call of a hook in a saga: its log, bounded, and what came of it.
create table hook_runs (
    process text not null,
    point text not null,
    hook text not null,
    attempt bigint not null,
    -- running, done, or failed.
    state text not null,
    started_at bigint not null,
    ended_at bigint,
    log text not null,
    artifact text,
    primary key (process, point, hook, attempt)
);

-- What visitors of a suspended tenant's address read.
alter table tenants add column notice text;
