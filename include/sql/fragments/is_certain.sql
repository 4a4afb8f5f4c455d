{# Whether it is certain what a record of compared_records.sql should hold. If it is not, no run sends the record, whatever its scope.
   fragments/records_left_out.sql names the reason. #}
compared.has_property
AND NOT compared.key_mismatch
AND NOT compared.has_ambiguous_features
