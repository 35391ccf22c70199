-- A message to several people is several deliveries, each with a state of its own: one refused address neither holds
-- up nor repeats the others.

create table mail_deliveries (
    id text primary key,
    mail text not null references mail (id),
    address text not null,
    -- waiting, sent or set_aside; `at` is when it is tried next, was sent, or was set aside.
    state text not null,
    at bigint not null,
    attempts bigint not null default 0,
    -- How often it was handed over and nobody knows whether it arrived.
    unanswered bigint not null default 0,
    error text,
    unique (mail, address)
);
create index mail_deliveries_due on mail_deliveries (at) where state = 'waiting';

-- Who was in a group when a message went to it is not on record.
insert into mail_deliveries (id, mail, address, state, at, attempts)
select id, id, coalesce(json_extract(recipient, '$.address'), 'everyone in the group then'), 'sent', sent_at, attempts
from mail where sent_at is not null;

-- When to look who gets it. Null once that is known, or once nobody was found for too long: `error` says so.
alter table mail add column resolve_at bigint;
update mail set resolve_at = next_at, error = null where sent_at is null;
create index mail_unresolved on mail (resolve_at) where resolve_at is not null;

drop index mail_waiting;
alter table mail drop column sent_at;
alter table mail drop column attempts;
alter table mail drop column next_at;
