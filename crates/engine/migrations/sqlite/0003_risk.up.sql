-- The computed risk of a task, for lists. Most are of low risk: those have none here, so that the index holds what is looked for.
alter table streams add column risk text check (risk in ('MEDIUM', 'HIGH', 'CRITICAL'));

create index streams_risk on streams (risk) where risk is not null;

-- Tasks of before say it in their first event; in one that is kept compressed it cannot be read here, and comes with the task's next
-- change.
update streams set risk = (
    select nullif(json_extract(e.data, '$.SUBMITTED.risk'), 'LOW') from events e
    where e.stream = streams.no and e.version = 1 and typeof(e.data) = 'text'
)
where kind = 'task';
