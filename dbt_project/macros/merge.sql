{#- BigQuery reads, and bills, the whole of a table that is merged into, unless a constant says which partitions matter.
    A model whose `meta` says `partition_only_falls` is partitioned by a column that a row's newer version has never
    later than the older one: no partition before the earliest of the new rows can hold a row that they replace. -#}
{% macro bigquery__get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates=none) -%}
    {%- set predicates = [] + (incremental_predicates or []) -%}
    {%- if config.get("meta", {}).get("partition_only_falls") -%}
        {%- set column = config.get("partition_by").field -%}
        {%- set earliest = value_of("select min(" ~ column ~ ") from " ~ source) or run_started_at -%}
        {%- do predicates.append(
            "DBT_INTERNAL_DEST." ~ column ~ " >= timestamp '" ~ earliest.strftime("%Y-%m-%d %H:%M:%S.%f") ~ "'"
        ) -%}
    {%- endif -%}
    {{ dbt.default__get_merge_sql(target, source, unique_key, dest_columns, predicates) }}
{%- endmacro %}
