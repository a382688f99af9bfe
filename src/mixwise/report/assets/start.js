// What happens when the page is opened.

prepareCopying();
prepareChoices();
prepareTables();
drawCharts();
const explored = embedded("explorer-data");
if (explored) document.getElementById("explorer").hidden = false;
const explorer = explored ? new Explorer(explored) : null;
