import jobs.core.runs
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0001_initial'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='run',
            name='run_by_status',
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(models.F('status'), models.OrderBy(models.F('scheduled_time'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('status__in', (jobs.core.runs.RunStatus['QUEUED'], jobs.core.runs.RunStatus['RUNNING'], jobs.core.runs.RunStatus['SUCCEEDED'])), _negated=True), name='run_by_status'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(models.F('job'), models.OrderBy(models.F('scheduled_time'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('status__in', (jobs.core.runs.RunStatus['QUEUED'], jobs.core.runs.RunStatus['RUNNING'], jobs.core.runs.RunStatus['SUCCEEDED'], jobs.core.runs.RunStatus['MISSED'], jobs.core.runs.RunStatus['SKIPPED'])), _negated=True), name='run_unsuccessful_of_job'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(models.F('trigger'), models.OrderBy(models.F('scheduled_time'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('trigger__in', (jobs.core.runs.RunTrigger['SCHEDULE'],)), _negated=True), name='run_unscheduled'),
        ),
    ]
