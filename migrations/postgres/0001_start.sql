-- Ids are text, times are milliseconds UTC, JSON is text: the same on both engines.

create table events (
    position bigserial primary key,
    stream text not null,
    seq bigint not null,
    at bigint not null,
    kind text not null,
    actor text not null,
    subject text,
    sentence text not null,
    body text not null,
    unique (stream, seq)
);
create index events_subject on events (subject, position);

create table processes (
    id text primary key,
    kind text not null,
    status text not null,
    title text not null,
    sentence text not null,
    subject text,
    waits_for_person bigint not null,
    started_at bigint not null,
    ended_at bigint,
    wake_at bigint,
    seq bigint not null,
    lease_owner text,
    lease_until bigint not null default 0
);
-- At most one rollout runs at a time; a tenant is onboarded or off-boarded once at a time.
create unique index processes_one_rollout on processes (kind) where ended_at is null and kind = 'rollout';
create unique index processes_one_each on processes (subject) where ended_at is null and subject is not null;
create index processes_open on processes (kind, started_at);

create table tiers (
    id text primary key,
    key text not null unique,
    revision bigint not null,
    live_revision bigint
);
create table tier_revisions (
    tier text not null references tiers (id),
    revision bigint not null,
    spec text not null,
    saved_at bigint not null,
    saved_by text not null,
    primary key (tier, revision)
);

create table tenants (
    id text primary key,
    slug text not null unique,
    name text not null,
    email text not null,
    search text not null,
    tier text not null references tiers (id),
    region text not null,
    tags text not null,
    overrides text not null,
    state text not null,
    reason text,
    created_at bigint not null
);
create index tenants_state on tenants (state, id);
create index tenants_tier on tenants (tier, id);

create table stacks (
    id text primary key,
    name text not null unique,
    kind text not null,
    tier text not null references tiers (id),
    region text not null,
    driver text not null,
    components text not null,
    status text not null,
    reason text,
    outputs text not null,
    operation text,
    desired text,
    actual text,
    version text,
    tier_revision bigint,
    changed_at bigint not null
);
create index stacks_busy on stacks (operation) where operation is not null;
create index stacks_place on stacks (tier, region, kind);

create table tenant_stacks (
    tenant text not null references tenants (id),
    stack text not null references stacks (id),
    primary key (tenant, stack)
);
create index tenant_stacks_stack on tenant_stacks (stack);

create table configurations (
    digest text primary key,
    version text not null,
    tier_revision bigint not null,
    body text not null
);

create table operations (
    id text primary key,
    process text not null,
    stack text not null,
    kind text not null,
    wave bigint,
    attempt bigint not null,
    state text not null,
    from_digest text,
    to_digest text,
    reason text,
    started_at bigint not null,
    ended_at bigint
);
create index operations_stack on operations (stack, started_at);

create table operation_log (
    operation text not null,
    seq bigint not null,
    at bigint not null,
    line text not null,
    primary key (operation, seq)
);

create table releases (
    id text primary key,
    version text not null unique,
    artifacts text not null,
    commit_id text not null,
    notes text not null,
    registered_at bigint not null,
    registered_by text not null,
    bad text
);

create table strategies (
    id text primary key,
    name text not null unique,
    spec text not null,
    saved_at bigint not null
);

create table gates (
    rollout text not null,
    wave bigint not null,
    state text not null,
    group_name text,
    missing bigint not null,
    asked_at bigint,
    expires_at bigint,
    title text not null,
    primary key (rollout, wave)
);

create table users (
    id text primary key,
    email text not null unique,
    role text not null,
    groups text not null,
    password text not null,
    disabled bigint not null default 0,
    created_at bigint not null
);
create table sessions (
    id text primary key,
    data text not null,
    expires_at bigint not null
);
create table api_tokens (
    id text primary key,
    hash text not null unique,
    name text not null,
    owner text not null references users (id),
    permissions text not null,
    created_at bigint not null,
    expires_at bigint
);

create table signups (
    id text primary key,
    token_hash text not null unique,
    email text not null,
    slug text not null,
    organisation text not null,
    tier text not null references tiers (id),
    region text not null,
    state text not null,
    tenant text,
    created_at bigint not null
);
create index signups_slug on signups (slug);

create table mail (
    id text primary key,
    key text not null unique,
    recipient text not null,
    subject text not null,
    body text not null,
    created_at bigint not null,
    sent_at bigint,
    attempts bigint not null default 0,
    next_at bigint not null,
    error text
);
create index mail_waiting on mail (next_at) where sent_at is null;

create table settings (
    key text primary key,
    value text not null
);

create table idempotency (
    key text not null,
    actor text not null,
    request text not null,
    response text not null,
    created_at bigint not null,
    primary key (key, actor)
);
