DESCRIBE DETAIL {{ table }}
