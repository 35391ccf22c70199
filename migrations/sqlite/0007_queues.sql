-- Gates that ask, as other systems are told of them. One opening is one row; a newer one of the same gate
-- supersedes it, and its tokens count no more.
create table announcements (
    id text primary key,
    key text not null unique,
    rollout text not null,
    wave bigint not null,
    plan_hash text not null,
    body text not null,
    created_at bigint not null,
    -- waiting, sent, set_aside or closed; `at` is when it is tried next, was sent, was set aside or was not needed any more.
    state text not null,
    at bigint not null,
    attempts bigint not null default 0,
    error text,
    superseded bigint not null default 0,
    answered_at bigint
);
create index announcements_due on announcements (at) where state = 'waiting';
create index announcements_of on announcements (rollout, wave);

-- Tokens that answers bring, as hashes: each attempt to send draws its own, and all of them are one announcement's.
create table gate_tokens (
    hash text primary key,
    announcement text not null references announcements (id),
    made_at bigint not null
);

-- What came in. An id is handled once in each queue; what cannot be handled is kept with its text until a person
-- has tried it again or dismissed it.
create table queue_messages (
    id text primary key,
    queue text not null,
    -- The sender's id; null where there is none that can be read.
    message text,
    digest text not null,
    -- handled, refused, set_aside, redriven or dismissed.
    state text not null,
    reason text,
    body text not null default '',
    received_at bigint not null,
    ended_at bigint
);
create unique index queue_messages_once on queue_messages (queue, message) where state in ('handled', 'refused');
create unique index queue_messages_aside on queue_messages (queue, digest) where state = 'set_aside';

-- Tasks of pipelines that wait for a decision. The token is needed until the decision was told, and forgotten then.
create table tasks (
    id text primary key,
    token_hash text not null unique,
    token text not null,
    title text not null,
    wave text not null,
    queue text not null,
    received_at bigint not null,
    -- asking, decided, told or lapsed.
    state text not null,
    verdict text,
    comment text not null default '',
    decided_by text,
    decided_at bigint,
    -- When the decision is told next, how often that was tried, and why it did not work the last time.
    next_at bigint,
    attempts bigint not null default 0,
    error text,
    ended_at bigint
);
create index tasks_untold on tasks (next_at) where state = 'decided';
create index tasks_asking on tasks (received_at) where state = 'asking';
