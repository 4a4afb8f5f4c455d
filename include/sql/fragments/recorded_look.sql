-- When the reconciliation :compared_by has compared. If it has not, there is no row, and so no numbers: not those of no difference.
SELECT compared_at
FROM {{ settings.difference_table }}
WHERE run_id = :compared_by AND class = 'compared'
