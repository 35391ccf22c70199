-- What a tenant has in Cognito, and whether its users there are as its state wants them.

create table tenant_identities (
    tenant text primary key references tenants (id),
    access text not null,
    -- Whether its users are disabled because it is suspended (0: no, 1: begun, 2: yes), and which of them: the others
    -- were disabled by somebody else.
    suspended bigint not null default 0,
    disabled text not null default '[]',
    -- Why they are not yet as the state wants them, and when that is tried again; also a claim of whoever tries.
    reason text,
    attempts bigint not null default 0,
    next_at bigint not null default 0
);
create index tenant_identities_suspended on tenant_identities (tenant) where suspended > 0;
