-- What people say of a pool; one that is not here is open, with its tier's capacity.
create table pools (
    stack text primary key references stacks (id),
    state text not null,
    rank bigint not null,
    capacity bigint,
    label text not null,
    tags text not null,
    changed_at bigint not null
);
-- Pools that somebody asked for and that are not begun yet, with why not.
create table pools_wanted (
    tier text not null references tiers (id),
    region text not null,
    wanted_by text not null,
    wanted_at bigint not null,
    reason text,
    primary key (tier, region)
);
-- Where somebody's data live is a promise: no statement changes it.
create trigger tenants_keep_their_region before update of region on tenants for each row when new.region <> old.region begin select raise(abort, 'the region of a tenant never changes'); end;
create trigger stacks_keep_their_region before update of region on stacks for each row when new.region <> old.region begin select raise(abort, 'the region of a stack never changes'); end;
