{#- dbt's default glues a custom schema onto the target's; schemas are shared with the sync here, so a name is taken as written. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
