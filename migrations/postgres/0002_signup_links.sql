-- A registration may be asked for again: every link that was sent keeps working.

create table signup_links (
    hash text primary key,
    signup text not null,
    created_at bigint not null
);
create index signup_links_signup on signup_links (signup, created_at);
insert into signup_links (hash, signup, created_at) select token_hash, id, created_at from signups;

alter table signups drop column token_hash;
