drop index streams_risk;
alter table streams drop column risk;
