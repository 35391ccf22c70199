-- Who serves: each server writes now and then that it is there, and takes itself off when it ends in good order.

create table replicas (
    id text primary key,
    -- The machine and the port.
    name text not null,
    version text not null,
    started_at bigint not null,
    -- By the clock of the database, so that all are measured by one; and how far the server's own is before it.
    seen_at bigint not null,
    skew bigint not null,
    -- Whether it makes stacks on its own machine, where no other server reaches them.
    own_stacks bigint not null,
    -- How it finds its queues, as JSON.
    queues text not null
);

-- Whose right it is to bring a tenant's users to where its state wants them, and until when.
alter table tenant_identities add column lease_owner text;
alter table tenant_identities add column lease_until bigint not null default 0;
