alter table streams drop column archived;
alter table streams drop column autonomy;
alter table streams drop column subject_ref_id;
alter table streams drop column subject_ref_type;
alter table streams drop column owner_type;
