-- The same rule, said so that it costs less: for a list of words SQLite builds a table each time the trigger is asked, and every
-- change of a status asks it.
drop trigger streams_end_once;

create trigger streams_end_once before update of status on streams
when new.status is not old.status
    and case old.status when 'COMPLETED' then true when 'FAILED' then true when 'CANCELLED' then true when 'STOPPED' then true end
begin
    select raise(abort, 'the status of a task that has ended does not change');
end;
