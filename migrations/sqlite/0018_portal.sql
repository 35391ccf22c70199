-- Links to the portal of a tenant, named by the SHA-256 of their tokens. A new one ends those before it.

create table portal_links (
    hash text primary key,
    tenant text not null references tenants (id),
    made_by text not null,
    made_at bigint not null,
    ends_at bigint not null
);
create index portal_links_tenant on portal_links (tenant);
