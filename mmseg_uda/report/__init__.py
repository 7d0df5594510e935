"""A page about runs that any browser shows offline."""

from mmseg_uda.report.sections import format_report
from mmseg_uda.report.sources import Source, read_source

__all__ = ['Source', 'format_report', 'read_source']
