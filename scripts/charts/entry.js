import { init, use } from "echarts/core";
import { BarChart, LineChart, ScatterChart, TreemapChart } from "echarts/charts";
import { GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";
use([BarChart, LineChart, ScatterChart, TreemapChart, GridComponent, LegendComponent, TooltipComponent, SVGRenderer]);
globalThis.echarts = { init };
