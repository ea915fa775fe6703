{#- Whether a relation has the column (names compared without case). True when the relation cannot be looked at: while
    parsing, and when compiling without a warehouse. -#}
{% macro has_column(relation, name) -%}
    {%- if not execute -%}{{ return(true) }}{%- endif -%}
    {%- set found = load_relation(relation) -%}
    {%- if found is none -%}{{ return(true) }}{%- endif -%}
    {%- for column in adapter.get_columns_in_relation(found) -%}
        {%- if column.name | lower == name | lower -%}{{ return(true) }}{%- endif -%}
    {%- endfor -%}
    {{ return(false) }}
{%- endmacro %}
