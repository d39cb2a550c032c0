-- Since when a task has asked anything of people without a break. Most ask nothing: those are not in the index.
alter table streams add column asks_since integer;

create index streams_asks on streams (asks_since) where asks_since is not null;

-- What a task of before asks cannot be read here. Those that may ask are looked at, and say so anew with their next change: the inbox
-- passes over what asks nothing.
update streams set asks_since = coalesce((select max(e.at) from events e where e.stream = streams.no), created_at)
where kind = 'task' and status in ('ESCALATED', 'BLOCKED', 'DELIBERATING', 'STALLED', 'REVIEW', 'IN_PROGRESS', 'ASSIGNED');
