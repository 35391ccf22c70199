-- A registration may be asked for again: every link that was sent keeps working.

create table signup_links (
    hash text primary key,
    signup text not null,
    created_at bigint not null
);
create index signup_links_signup on signup_links (signup, created_at);
insert into signup_links (hash, signup, created_at) select token_hash, id, created_at from signups;

-- A column with a constraint can only go with its table.
create table signups_without_token (
    id text primary key,
    email text not null,
    slug text not null,
    organisation text not null,
    tier text not null references tiers (id),
    region text not null,
    state text not null,
    tenant text,
    created_at bigint not null
);
insert into signups_without_token (id, email, slug, organisation, tier, region, state, tenant, created_at)
    select id, email, slug, organisation, tier, region, state, tenant, created_at from signups;
drop table signups;
alter table signups_without_token rename to signups;
create index signups_slug on signups (slug);
