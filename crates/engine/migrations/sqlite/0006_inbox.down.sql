drop index streams_asks;
alter table streams drop column asks_since;
