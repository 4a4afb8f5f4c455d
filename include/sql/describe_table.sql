DESCRIBE TABLE {{ table }}
