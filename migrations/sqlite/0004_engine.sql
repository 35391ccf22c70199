-- What the engine and the pages of one tenant look for, without reading the whole table.

create index processes_alive on processes (started_at, id) where ended_at is null;
create index processes_subject on processes (subject, started_at);

-- Why a stack does not run now, though no operation works on it.
alter table stacks add column down text;
