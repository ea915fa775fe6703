{#- A setting of a model for one kind of warehouse; others would take it for one of their own. -#}
{% macro on(type, setting, otherwise=none) -%}
    {{ return(setting if target.type == type else otherwise) }}
{%- endmacro %}
