-- The list of tenants is read by name, a page at a time.

create index tenants_name on tenants (lower(name), slug);
create index signups_email on signups (lower(email));
