-- What a wave would change inside its stacks: asked for once, found out by whichever server has the time.

create table previews (
    key text primary key,
    request text not null,
    state text not null,
    done bigint not null,
    total bigint not null,
    found text,
    asked_at bigint not null,
    ended_at bigint,
    lease_owner text,
    lease_until bigint not null default 0
);
create index previews_waiting on previews (asked_at) where state = 'waiting';

-- What has become of stacks behind our back. A stack without a row was not checked.
create table drifts (
    stack text primary key references stacks (id),
    state text not null,
    found text,
    reason text,
    checked_at bigint,
    due_at bigint,
    looked_at bigint,
    asked bigint not null default 0,
    repaired_at bigint,
    lease_owner text,
    lease_until bigint not null default 0
);
create index drifts_due on drifts (due_at);
create index drifts_state on drifts (state);
