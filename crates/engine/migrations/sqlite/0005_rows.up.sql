-- What lists tell of a task beside what they are narrowed by. Where a column has the ordinary value (an autonomy of AUTONOMOUS, a task that is
-- in the live set) it is null.
alter table streams add column owner_type text;
alter table streams add column subject_ref_type text;
alter table streams add column subject_ref_id text;
alter table streams add column autonomy text check (autonomy in ('SUGGESTION', 'ASSISTED'));
alter table streams add column archived integer check (archived = 1);

-- Tasks of before say it in their first event; in one that is kept compressed it cannot be read here, and comes with the task's next
-- change.
update streams set
    (owner_type, subject_ref_type, subject_ref_id, autonomy) = (
        select json_extract(e.data, '$.SUBMITTED.owner_type'), json_extract(e.data, '$.SUBMITTED.subject_ref_type'),
            json_extract(e.data, '$.SUBMITTED.subject_ref_id'), nullif(json_extract(e.data, '$.SUBMITTED.autonomy'), 'AUTONOMOUS')
        from events e where e.stream = streams.no and e.version = 1 and typeof(e.data) = 'text'
    ),
    archived = (select 1 from events e where e.stream = streams.no and e.kind = 'ARCHIVED' limit 1)
where kind = 'task';
